// IpAddress and Endpoint are public (applications name destinations with them); the rooms include them from here.
#pragma once

#include <rtchan/endpoint.hpp>
