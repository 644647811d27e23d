
# Reads and writes files beside this one, wherever it is run from.
set here [file dirname [file normalize [info script]]]
set folder [file join $here ${design}_board]
set jobs 4
set remedy "if harmless, add ids to 'accepted' in the table \[zynq\] of the board's file"

proc stop {text} {
    puts "ERROR: \[pulsar\] $text"
    exit 1
}

proc stop_on_critical_warnings {step} {
    set count [get_msg_config -count -severity {CRITICAL WARNING}]
    if {$count > 0} {
        stop "$step: critical warnings above, $count of them; $::remedy"
    }
}

# Waits for a run, and stops on what its log says.
proc finish {run} {
    wait_on_run $run
    set file [open [file join [get_property DIRECTORY [get_runs $run]] runme.log]]
    set lines [split [read $file] "\n"]
    close $file
    foreach line [lsearch -all -inline -glob $lines "ERROR:*"] {
        stop "$run: $line"
    }
    foreach line [lsearch -all -inline -glob $lines "CRITICAL WARNING:*"] {
        stop "$run: $line; $::remedy"
    }
    if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
        stop "$run: [get_property STATUS [get_runs $run]]"
    }
}

proc worst_slack_ns {kind} {
    set paths [get_timing_paths -delay_type $kind -max_paths 1 -nworst 1]
    if {[llength $paths] == 0} {
        stop "no path has a $kind requirement: are the clocks defined?"
    }
    return [get_property SLACK [lindex $paths 0]]
}

proc require_width {pin bits} {
    set found [get_property CONFIG.DATA_WIDTH [get_bd_intf_pins $pin]]
    if {$found != $bits} {
        stop "$pin is $found bits wide, not $bits: memory would return garbage"
    }
}

# --- project -------------------------------------------------------------------------------------
foreach suffix {bit hwh xsa} {
    file delete [file join $here $design.$suffix]
}
create_project -force ${design}_board $folder -part $part
foreach id $accepted {
    set_msg_config -id $id -new_severity WARNING
}
set found [get_board_parts -quiet -latest_file_version "${board_part}:*"]
if {[llength $found] == 0} {
    stop "Vivado has no board files of $board_part: add them in Tools, Vivado Store"
}
set_property board_part [lindex $found end] [current_project]
if {$board_connections ne ""} {
    set_property board_connections $board_connections [current_project]
}
add_files -norecurse [list [file join $here ${design}.v] [file join $here ${design}_top.v]]
update_compile_order -fileset sources_1

# --- block design --------------------------------------------------------------------------------
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset "1"} $ps
set_property -dict $ps_properties $ps
# The processors divide a PLL's clock, which does not give every frequency.
foreach {clock mhz} [list PL0 $engine_mhz PL1 $port_mhz] {
    if {$clock eq "PL0" || $port_mhz != $engine_mhz} {
        set given [get_property CONFIG.PSU__CRL_APB__${clock}_REF_CTRL__ACT_FREQMHZ $ps]
        puts "Clock $clock: $mhz MHz asked for, $given MHz given"
    }
}
create_bd_cell -type module -reference ${design}_top engine
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset

connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins reset/slowest_sync_clk] \
    [get_bd_pins engine/aclk] [get_bd_pins ps/maxihpm0_fpd_aclk]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins engine/aresetn]
connect_bd_net [get_bd_pins engine/interrupt] [get_bd_pins ps/pl_ps_irq0]

# Registers: from the processors' AXI4 to AXI4-Lite.
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1 CONFIG.NUM_CLKS 1] $control
connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins control/aclk]
connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins control/aresetn]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins engine/s_axi_control]

# Memory: each of the engine's ports to one of the processors', whose width and clock may differ.
set port_clock [expr {$port_mhz == $engine_mhz ? "ps/pl_clk0" : "ps/pl_clk1"}]
set plain [expr {$engine_bits == $port_bits && $port_mhz == $engine_mhz}]
set index 0
foreach port $ports {
    set from engine/m_axi_memory[expr {[llength $ports] > 1 ? "_$index" : ""}]
    set to ps/S_AXI_${port}_FPD
    connect_bd_net [get_bd_pins $port_clock] [get_bd_pins ps/saxi[string tolower $port]_fpd_aclk]
    if {$plain} {
        connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
    } else {
        set memory memory_$index
        set clocks [expr {$port_mhz == $engine_mhz ? 1 : 2}]
        set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $memory]
        set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1 CONFIG.NUM_CLKS $clocks] $cell
        connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins $memory/aclk]
        if {$clocks == 2} {
            connect_bd_net [get_bd_pins $port_clock] [get_bd_pins $memory/aclk1]
        }
        connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins $memory/aresetn]
        connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $memory/S00_AXI]
        connect_bd_intf_net [get_bd_intf_pins $memory/M00_AXI] [get_bd_intf_pins $to]
    }
    incr index
}

assign_bd_address -offset $control_address -range $control_bytes \
    -target_address_space [get_bd_addr_spaces ps/Data] [get_bd_addr_segs engine/s_axi_control/*]
assign_bd_address
validate_bd_design
set index 0
foreach port $ports {
    require_width ps/S_AXI_${port}_FPD $port_bits
    if {!$plain} {
        require_width memory_$index/M00_AXI $port_bits
    }
    incr index
}
save_bd_design
stop_on_critical_warnings "block design"

# --- synthesis, place and route ------------------------------------------------------------------
set source [get_files system.bd]
# All in one run, so that its options reach the engine.
set_property synth_checkpoint_mode None $source
generate_target all $source
make_wrapper -files $source -top -import -fileset sources_1
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1
# Copies of registers are made on purpose: each drives what lies near it.
set_property STEPS.SYNTH_DESIGN.ARGS.KEEP_EQUIVALENT_REGISTERS true [get_runs synth_1]
set_property STEPS.PHYS_OPT_DESIGN.IS_ENABLED true [get_runs impl_1]
set_property STEPS.POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED true [get_runs impl_1]
launch_runs synth_1 -jobs $jobs
finish synth_1
launch_runs impl_1 -jobs $jobs
finish impl_1

# --- what came of it -----------------------------------------------------------------------------
open_run impl_1
set cell [get_cells -hierarchical -filter "REF_NAME == $design || ORIG_REF_NAME == $design"]
report_utilization -cells $cell -file [file join $here ${design}_board_utilization.rpt]
report_utilization -hierarchical -file [file join $here ${design}_board_hierarchy.rpt]
report_timing_summary -file [file join $here ${design}_board_timing.rpt]
report_power -file [file join $here ${design}_board_power.rpt]
report_route_status -file [file join $here ${design}_board_route.rpt]
if {![report_route_status -boolean_check ROUTED_FULLY]} {
    stop "there are nets that are not routed: see ${design}_board_route.rpt"
}
foreach kind {max min} {
    set slack [worst_slack_ns $kind]
    if {$slack < 0} {
        stop "the clock is missed: slack $slack ns ($kind): see ${design}_board_timing.rpt"
    }
    puts "Worst slack ($kind): $slack ns"
}
stop_on_critical_warnings "implementation"

launch_runs impl_1 -to_step write_bitstream -jobs $jobs
finish impl_1
set bitstream [file join [get_property DIRECTORY [get_runs impl_1]] system_wrapper.bit]
set handoff [glob -directory $folder [file join *.gen sources_1 bd system hw_handoff system.hwh]]
file copy -force $bitstream [file join $here ${design}.bit]
file copy -force [lindex $handoff 0] [file join $here ${design}.hwh]
write_hw_platform -fixed -include_bit -force -file [file join $here ${design}.xsa]
puts "Wrote ${design}.bit, ${design}.hwh, ${design}.xsa in $here"
