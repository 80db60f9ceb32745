# Pictures of what growth.sh has measured: gnuplot -e "dir='docs/guide/growth'" tools/scale/growth.gp
set terminal svg size 640,400 font "sans-serif,12" background rgb "white"
set grid
set key top left Left reverse

set output dir."/setup-messages.svg"
set xlabel "hops"
set ylabel "messages of a set-up, acknowledgements included"
set xrange [0:16]
set yrange [0:*]
plot dir."/hops-0.dat" using 1:2 with points pt 7 lc rgb "#1f77b4" title "no loss", \
     dir."/hops-0.dat" using 1:3 with lines lc rgb "#1f77b4" title "theory: 8 a hop", \
     dir."/hops-5.dat" using 1:2 with points pt 5 lc rgb "#d62728" title "5 % of packets lost", \
     dir."/hops-5.dat" using 1:3 with lines lc rgb "#d62728" title "theory: 8.64 a hop"

set output dir."/setup-time.svg"
set ylabel "set-up time, ms"
plot dir."/hops-0.dat" using 1:4 with linespoints pt 7 lc rgb "#1f77b4" title "no loss: half of them", \
     dir."/hops-0.dat" using 1:5 with linespoints pt 6 lc rgb "#1f77b4" dt 2 title "99 %", \
     dir."/hops-5.dat" using 1:4 with linespoints pt 5 lc rgb "#d62728" title "5 % of packets lost: half", \
     dir."/hops-5.dat" using 1:5 with linespoints pt 4 lc rgb "#d62728" dt 2 title "99 %"

set output dir."/refresh.svg"
set logscale xy
set xrange [5:200000]
set yrange [0.5:20000]
set xlabel "channels with a neighbour"
set ylabel "messages between the two, per refresh"
plot dir."/refresh-0.dat" using 1:2 with points pt 7 lc rgb "#1f77b4" title "no loss", \
     dir."/refresh-0.dat" using 1:3 with lines lc rgb "#1f77b4" title "theory: 1,097 to a message, each acknowledged", \
     dir."/refresh-5.dat" using 1:2 with points pt 5 lc rgb "#d62728" title "5 % of packets lost", \
     dir."/refresh-5.dat" using 1:3 with lines lc rgb "#d62728" title "theory"

set output dir."/memory.svg"
unset logscale y
set xrange [5:2000000]
set yrange [0:*]
set ylabel "bytes of a channel in a node"
plot dir."/memory.dat" using 1:2 with linespoints pt 7 lc rgb "#1f77b4" title "all that a node holds but its tables of fixed size"
