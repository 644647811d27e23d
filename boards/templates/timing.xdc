# $design: one clock, $clock_mhz MHz.
create_clock -name clk -period $period_ns [get_ports clk]
