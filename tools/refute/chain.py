#!/usr/bin/env python3
"""Does what admission promises hold over a chain of links? An independent answer: shares no code with rtchan.

Decisions come from `rtc admit` as from an oracle, one question per link and flow; everything else is done here anew, from
the rules in docs/admission: packets, logical arrivals restored from `rem` at every hop, per-hop EDF without pre-emption, early
packets up to a horizon, best effort that always wants the link, hand-over in bursts, clocks that drift, propagation that
varies. Looks for a packet that is late at a hop, a message that is late at the end, and a buffer above its bound.

    chain.py --rtc build/bin/rtc --sets 1000 --seed 1
"""
import argparse, heapq, json, random, subprocess, sys

BREAKS = ("none", "rem", "handover", "delay", "drift")  # what is broken on purpose, to see that it would be seen


def draw(rng):
    """A chain of links and flows that each use some consecutive ones."""
    links = rng.randint(2, 4)
    net = {"links": [], "flows": []}
    for _ in range(links):
        frame = rng.choice((1, 2, 4))                       # time of the longest frame of best effort
        net["links"].append({"frame": frame, "pi": rng.choice((0, 1, 7)), "H": rng.choice((0, 0, 5, 40)),
                             "rho": rng.choice((-1, 0, 1)), "depth": rng.choice((1, 2, 4, 8))})
    for _ in range(rng.randint(2, 7)):
        a = rng.randrange(links)
        b = rng.randrange(a, links) if rng.random() < .4 else links - 1
        q = rng.choice((1, 1, 2, 4))
        n = rng.choice((1, 1, 2, 3, 6))
        tight = rng.random() < .5
        net["flows"].append({"a": 0 if rng.random() < .5 else a, "b": b, "q": q, "n": n, "burst": rng.randint(1, 3),
                             "T": rng.randint(2 * q * n, 12 * q * n + 20) if tight else rng.randint(10 * q * n, 60 * q * n + 40)})
        f = net["flows"][-1]
        f["b"] = max(f["a"], f["b"])
    return net


SCALE = 1000            # of the drawn units: so that drift and shares are no rounding
DRIFT = 100e-6          # a clock's largest deviation


def admit_all(nets, rtc, rng):
    """Flow by flow, link by link: minimum local delay from the oracle plus a random share of slack."""
    for net in nets:
        for link in net["links"]:
            link["held"] = []
            link["b0"] = int(link["frame"] * SCALE * (1 + 2 * DRIFT)) + 1
        for f in net["flows"]:
            f["d"], f["ok"] = {}, True
    for turn in range(max(len(n["flows"]) for n in nets)):
        for hop in range(4):
            asked, lines = [], []
            for net in nets:
                if turn >= len(net["flows"]) or hop >= len(net["links"]):
                    continue
                f, link = net["flows"][turn], net["links"][hop]
                if not f["ok"] or not f["a"] <= hop <= f["b"]:
                    continue
                # T is shortened downstream by twice the drift, relative to the source.
                new = {"C": int(f["q"] * f["n"] * SCALE * (1 + 2 * DRIFT)) + 1, "T": int(f["T"] * SCALE * (1 - 2.1 * DRIFT)), "q": int(f["q"] * SCALE * (1 + 2 * DRIFT)) + 1}
                lines.append(json.dumps({"policy": "edf", "b0": link["b0"], "existing": link["held"], "new": new}))
                asked.append((f, link, hop, new))
            if not lines:
                continue
            out = subprocess.run([rtc, "admit"], input="\n".join(lines), capture_output=True, text=True)
            for (f, link, hop, new), line in zip(asked, out.stdout.splitlines(), strict=True):
                answer = json.loads(line)
                if "min_delay" not in answer:
                    f["ok"] = False
                    continue
                r = answer["min_delay"]
                f["d"][hop] = r + (rng.choice((0, 0, rng.randrange(1, new["T"]))))
                link["held"].append({**new, "d": f["d"][hop]})
        for net in nets:  # a refusal frees upstream
            if turn < len(net["flows"]) and not net["flows"][turn]["ok"]:
                for hop, d in net["flows"][turn]["d"].items():
                    held = net["links"][hop]["held"]
                    held.pop()  # the last one in was ours
    for net in nets:
        net["flows"] = [f for f in net["flows"] if f["ok"]]


def beta(held, b0):
    """beta*(x) = min over deadlines t < x of t - dbf(t), as steps (t, least so far)."""
    u = sum(c["C"] / c["T"] for c in held)
    length = 0 if not held else min(int((b0 + sum(c["C"] for c in held)) / max(1 - u, 1e-3)) + 1, 400 * max(c["T"] for c in held))
    points = sorted({t for c in held for t in range(c["d"], length + 1, c["T"])} | {c["d"] for c in held})
    steps, least = [], None
    heap = sorted((c["d"], i) for i, c in enumerate(held))
    demand = 0
    for t in points:
        while heap and heap[0][0] == t:
            _, i = heapq.heappop(heap)
            demand += held[i]["C"]
            heapq.heappush(heap, (t + held[i]["T"], i))
        room = t - demand
        if least is None or room < least:
            least = room
            steps.append((t, least))
    return steps


def room_before(steps, x):
    least = None
    for t, value in steps:
        if t >= x:
            break
        least = value
    return least  # None: nothing is due before x


class Hop:
    """One link with its scheduler, in true time; `rate` is how fast its clock runs."""

    def __init__(self, net, index, broken):
        link = net["links"][index]
        self.net, self.index, self.broken = net, index, broken
        self.steps = beta(link["held"], link["b0"])
        self.pi, self.horizon, self.frame = link["pi"] * SCALE, link["H"] * SCALE, link["frame"] * SCALE
        self.rate = 1 + (3 if broken == "drift" else 1) * link["rho"] * DRIFT
        self.depth = link["depth"]
        self.waiting = []            # heap by deadline of those with lambda <= now; the others by lambda
        self.early = []
        self.idle_from = 0
        self.lam = {}                # flow -> (message, lambda of its last packet, largest lambda of earlier messages)
        self.newest = {}             # flow -> when its last packet arrives at the next hop
        self.held = {}               # flow -> messages -> packets here
        self.most = {}

    def local(self, true_time):
        return true_time * self.rate

    def arrive(self, now, flow, packet, rem):
        f = self.net["flows"][flow]
        d_prev = f["d"].get(self.index - 1, 0) if self.index > f["a"] else 0
        cap = d_prev + (self.net["links"][self.index - 1]["H"] * SCALE if self.index > f["a"] else 0)
        message = packet // f["n"]
        period = f["T"] * SCALE * (1 - 2.02 * DRIFT) if self.index > f["a"] else f["T"] * SCALE
        known, last, before = self.lam.get(flow, (-1, -1e18, -1e18))
        if message > known:
            before = last
        lam = max(self.local(now) + min(max(rem, 0), cap), last if message == known else -1e18, before + period)
        self.lam[flow] = (message, lam, before)
        here = self.held.setdefault(flow, {})
        here[message] = here.get(message, 0) + 1
        self.most[flow] = max(self.most.get(flow, 0), len(here))
        heapq.heappush(self.early, (lam, lam + f["d"][self.index], flow, packet))

    def serve(self, now, best_effort):
        """What is handed over now: a list of (finish, flow, packet, deadline); nothing while a burst is out."""
        clock = self.local(now)
        while self.early and self.early[0][0] <= clock + 1e-6:
            lam, deadline, flow, packet = heapq.heappop(self.early)
            heapq.heappush(self.waiting, (deadline, flow, packet, lam))
        out, outstanding = [], 0.0
        while len(out) < self.depth:
            if self.waiting:
                deadline, flow, packet, lam = self.waiting[0]
                length, source = self.net["flows"][flow]["q"] * SCALE, self.waiting
            elif best_effort:
                deadline, flow, packet, lam, length, source = float("inf"), -1, 0, clock, self.frame, None
            elif self.early and self.early[0][0] <= clock + self.horizon:
                lam, deadline, flow, packet = self.early[0]
                length, source = self.net["flows"][flow]["q"] * SCALE, self.early
            else:
                break
            if out and self.broken != "handover":
                room = room_before(self.steps, deadline - clock)
                if room is not None and outstanding + length > room:
                    break
            if source is not None:
                heapq.heappop(source)
            outstanding += length
            out.append((now + outstanding, flow, packet, lam, deadline))
            if best_effort and flow < 0 and outstanding >= 3 * self.frame:
                break
        return out


def run(net, rng, broken="none"):
    """Plays one set with sources in a bad phasing. Returns what went wrong, and how tight it was."""
    hops = [Hop(net, i, broken) for i in range(len(net["links"]))]
    wrong, tightest, count = [], 0.0, 0
    events, order = [], 0
    base = 10 ** 6
    longest = max(f["T"] for f in net["flows"]) * SCALE
    for number, f in enumerate(net["flows"]):
        # All at once, or anywhere; bursts as large as allowed, then as fast as allowed, or now and then.
        g = base + rng.choice((0, 0, rng.randrange(longest), -1))
        end, level, l = base + 12 * longest, f["burst"], -1e18
        f["sent"] = []
        period = f["T"] * SCALE
        m = 0
        rate = hops[f["a"]].rate
        while g < end and m < 400:
            clock = g * rate
            l = max(clock, l + period)
            if l - clock <= (f["burst"] - 1) * period + 1e-6:
                f["sent"].append(l / rate)
                for j in range(f["n"]):
                    order += 1
                    heapq.heappush(events, (g, 1, order, "packet", number, m * f["n"] + j, max(0, l - clock), f["a"]))
                m += 1
            else:
                l -= period
            g += rng.choice((0, period / rate, period / rate, period / rate, period * rng.uniform(1, 3)))
            if l - g * rate > (f["burst"] - 1) * period:
                g = (l - (f["burst"] - 1) * period) / rate
    greedy = rng.random() < .7
    done = {}
    while events:
        now, _, _, what, flow, packet, rem, where = heapq.heappop(events)
        hop = hops[where]
        if what == "packet":
            # At the source rem is the time to its logical arrival: a burst waits as early packets do.
            if where == net["flows"][flow]["a"]:
                f = net["flows"][flow]
                lam = now * hop.rate + rem
                here = hop.held.setdefault(flow, {})
                heapq.heappush(hop.early, (lam, lam + f["d"][where], flow, packet))
            else:
                hop.arrive(now, flow, packet, rem)
        elif what == "out" and flow >= 0:
            f = net["flows"][flow]
            message = packet // f["n"]
            if where > f["a"]:
                hop.held[flow][message] -= 1
                if hop.held[flow][message] == 0:
                    del hop.held[flow][message]
        if what in ("packet", "wake", "out") and now >= hop.idle_from - 1e-9:
            burst = hop.serve(now, greedy and rng.random() < .9)
            for finish, flow, packet, lam, deadline in burst:
                order += 1
                heapq.heappush(events, (finish, 0, order, "out", flow, packet, 0, where))
                if flow < 0:
                    continue
                f = net["flows"][flow]
                f_local = hop.local(finish)
                count += 1
                tightest = max(tightest, (f_local - lam) / f["d"][where])
                if f_local > deadline + 1:
                    wrong.append(f"link {where}: packet {packet} of flow {flow} {f_local - deadline:.0f} late of {f['d'][where]}")
                left = max(0, deadline - f_local)
                if broken == "rem":  # stamped when it is handed over
                    left = max(0, deadline - hop.local(now))
                # Wires delay differently from packet to packet, but nothing overtakes.
                there = max(finish + rng.choice((0, hop.pi, rng.uniform(0, hop.pi))), hop.newest.get(flow, 0))
                hop.newest[flow] = there
                if where < f["b"]:
                    heapq.heappush(events, (there, 1, order, "packet", flow, packet, left, where + 1))
                else:
                    done[flow, packet] = there
            hop.idle_from = burst[-1][0] if burst else now
            if not burst and hop.early:
                order += 1
                at = max(now, hop.early[0][0] / hop.rate - hop.horizon / hop.rate)
                at = max(at, now + .5)
                heapq.heappush(events, (at, 2, order, "wake", -1, 0, 0, where))
    for number, f in enumerate(net["flows"]):
        rho = DRIFT
        bound = sum(d / (1 - rho) for d in f["d"].values())
        for hop in range(f["a"], f["b"] + 1):
            bound += net["links"][hop]["pi"] * SCALE + 2 * rho * net["links"][hop]["H"] * SCALE / (1 - rho * rho)
        for m, l in enumerate(f["sent"]):
            for j in range(f["n"]):
                at = done.get((number, m * f["n"] + j))
                if at is None:
                    wrong.append(f"flow {number}: packet {m}/{j} never came")
                elif at > l + bound + 2:
                    wrong.append(f"flow {number}: message {m} {at - l - bound:.0f} after its bound {bound:.0f}")
        for hop in range(f["a"] + 1, f["b"] + 1):
            before = net["links"][hop - 1]
            most = (f["d"][hop - 1] + before["H"] * SCALE + before["pi"] * SCALE + f["d"][hop]) // (f["T"] * SCALE * (1 - 2.02 * DRIFT)) + 1
            if hops[hop].most.get(number, 0) > most:
                wrong.append(f"link {hop}: {hops[hop].most[number]} messages of flow {number} wait, the bound is {most:.0f}")
            net.setdefault("full", []).append(hops[hop].most.get(number, 0) == most)
    return wrong, tightest, count


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rtc", default="build/bin/rtc")
    options.add_argument("--sets", type=int, default=1000)
    options.add_argument("--phasings", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--break", dest="broken", choices=BREAKS, default="none", help="break a rule, to see that it is seen")
    asked = options.parse_args()
    rng = random.Random(asked.seed)
    nets = [draw(rng) for _ in range(asked.sets)]
    for start in range(0, len(nets), 500):
        admit_all(nets[start:start + 500], asked.rtc, rng)
    nets = [n for n in nets if n["flows"]]
    if asked.broken == "delay":
        for n in nets:
            for f in n["flows"]:
                f["d"] = {h: d if h == f["a"] else d - SCALE // 2 for h, d in f["d"].items()}
            for i, link in enumerate(n["links"]):
                for f, held in zip([f for f in n["flows"] if i in f["d"]], link["held"]):
                    held["d"] = f["d"][i]
    failed, packets, worst, hops, full, compared = 0, 0, 0.0, 0, 0, 0
    for index, net in enumerate(nets):
        for phasing in range(asked.phasings):
            net["full"] = []
            wrong, tightest, count = run(net, random.Random(asked.seed * 1_000_003 + index * 101 + phasing), asked.broken)
            packets, worst = packets + count, max(worst, tightest)
            full, compared = full + sum(net["full"]), compared + len(net["full"])
            if wrong and failed < 5:
                print(f"set {index}, phasing {phasing}: " + "; ".join(wrong[:3]), file=sys.stderr)
            failed += bool(wrong)
        hops += sum(len(f["d"]) for f in net["flows"])
    print(f"{len(nets)} sets, {hops} flow-hops, {asked.phasings} phasings each, {packets} packets: {failed} runs with something late, lost or "
          f"above its buffers; tightest packet used {100 * worst:.1f} % of its local delay; {full} of {compared} buffers reached their bound")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
