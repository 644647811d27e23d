# Vivado's commands, as far as the scripts use them: a small model of a block design that refuses what
# Vivado would, and says what was done. Run:  tclsh vivado_stubs.tcl PROPERTIES SCRIPT ?FAULT? ...
# PROPERTIES: a file with a property of the processors in each line, all that may be set.
# Names of this file begin with a capital letter, those of the script do not.
# FAULT: what goes wrong, such as SLACK=-0.1, ROUTED=0, WIDTH=64, PROGRESS=50%, LOG=line, PARTS=.

set Allowed [split [string trim [read [set file [open [lindex $argv 0]]]]] "\n"]
close $file
array set Fault {CLOCK {} SLACK 0.05 ROUTED 1 WIDTH {} PROGRESS 100% LOG {} PARTS board:part0:1.0 CRITICAL 0}
foreach text [lrange $argv 2 end] {
    set at [string first = $text]
    set Fault([string range $text 0 $at-1]) [string range $text $at+1 end]
}
array set Config {}     ;# cell,property -> value
array set Kind {}       ;# cell -> kind
array set Driver {}     ;# sink pin -> driver pin
array set Partner {}    ;# bus -> bus
array set Bus {}        ;# bus of a module -> role width
set Done {}             ;# steps, in their order

proc refuse {text} {
    puts stderr "refused: $text"
    exit 3
}
proc unknown {args} { refuse "unknown command: $args" }
proc note {args} { puts "did: $args" }
proc after_step {step} {
    if {$step ni $::Done} { refuse "[lindex [info level -1] 0] before $step" }
}
# Takes options with a value and flags apart; what is left are the other arguments.
proc options {arguments valued flags} {
    set found {}
    set rest {}
    for {set i 0} {$i < [llength $arguments]} {incr i} {
        set name [lindex $arguments $i]
        if {$name in $valued} {
            lappend found $name [lindex $arguments [incr i]]
        } elseif {$name in $flags} {
            lappend found $name 1
        } elseif {[string match {-[a-z]*} $name]} {
            refuse "[lindex [info level -1] 0] has no option $name"
        } else {
            lappend rest $name
        }
    }
    return [list $found $rest]
}
proc option {found name} {
    if {![dict exists $found $name]} { refuse "[lindex [info level -1] 0] without $name" }
    return [dict get $found $name]
}

# --- project -------------------------------------------------------------------------------------
proc create_project {args} {
    lassign [options $args -part -force] found rest
    set ::Part [option $found -part]
    set ::Folder [lindex $rest 1]
    file mkdir $::Folder
    lappend ::Done project
}
proc current_project {} { after_step project; return project }
proc current_fileset {} { after_step project; return sources_1 }
proc get_board_parts {args} {
    lassign [options $args {} {-quiet -latest_file_version}] found rest
    note board_part [lindex $rest 0]
    return $::Fault(PARTS)
}
proc set_msg_config {args} {
    lassign [options $args {-id -new_severity} {}] found rest
    note message [option $found -id]
}
proc get_msg_config {args} { options $args -severity -count; return $::Fault(CRITICAL) }
proc add_files {args} {
    lassign [options $args {} -norecurse] found rest
    foreach path [lindex $rest 0] {
        if {![file isfile $path]} { refuse "no file $path" }
        lappend ::Sources $path
    }
}
proc update_compile_order {args} { options $args -fileset {} }

# --- block design --------------------------------------------------------------------------------
proc create_bd_design {name} { after_step project; lappend ::Done design; set ::System $name }
proc create_bd_cell {args} {
    after_step design
    lassign [options $args {-type -vlnv -reference} {}] found name
    if {[option $found -type] eq "module"} {
        read_module [option $found -reference] $name
        set ::Kind($name) module
    } else {
        set ip [lindex [split [option $found -vlnv] :] 2]
        if {$ip ni {zynq_ultra_ps_e proc_sys_reset smartconnect}} { refuse "unknown IP $ip" }
        set ::Kind($name) $ip
    }
    if {$::Kind($name) eq "zynq_ultra_ps_e"} {
        # What presets show, unless it is hidden.
        set_ps $name PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 1 PSU__USE__M_AXI_GP2 1 \
            PSU__FPGA_PL1_ENABLE 0 PSU__USE__IRQ0 0 PSU__FPGA_PL0_ENABLE 1
    }
    return $name
}
proc set_ps {cell args} { foreach {name value} $args { set ::Config($cell,$name) $value } }
# Reads the interfaces of a module from its attributes, as Vivado does.
proc read_module {module cell} {
    foreach path $::Sources {
        set file [open $path]
        set text [read $file]
        close $file
        if {![regexp "(?n)^module $module\\(" $text]} continue
        regsub -all {\n +\(\*} $text "\n(*" text
        foreach {all info} [regexp -all -inline {X_INTERFACE_INFO = "([^"]*)"} $text] {
            lassign $info vlnv name signal
            set type [lindex [split $vlnv :] 2]
            set ::Type($cell/$name) $type
            if {$type eq "aximm"} {
                set ::Bus($cell/$name) [expr {[string match s_* $name] ? "slave" : "master"}]
            }
        }
        foreach {all text} [regexp -all -inline {X_INTERFACE_PARAMETER = "([^"]*)"} $text] {
            regexp {XIL_INTERFACENAME (\w+)} $text all name
            foreach pair [lrange [split $text ,] 1 end] {
                set ::Config($cell/$name,[lindex $pair 0]) [lindex $pair 1]
            }
        }
        return
    }
    refuse "no module $module in $::Sources"
}
proc apply_bd_automation {args} {
    lassign [options $args {-rule -config} {}] found cell
    if {$::Kind($cell) ne "zynq_ultra_ps_e"} { refuse "no preset for $cell" }
    if {"properties" in $::Done} { refuse "a preset after properties, which it would undo" }
    lappend ::Done preset
}
proc on {cell name} { return [expr {[info exists ::Config($cell,$name)] && $::Config($cell,$name)}] }
# Directions of a cell's pins.
proc pins_of {cell} {
    switch $::Kind($cell) {
        proc_sys_reset {
            return {slowest_sync_clk in ext_reset_in in peripheral_aresetn out interconnect_aresetn out}
        }
        smartconnect {
            set found {aclk in aresetn in}
            for {set i 1} {$i < $::Config($cell,NUM_CLKS)} {incr i} { lappend found aclk$i in }
            return $found
        }
        module {
            set found {}
            foreach name [array names ::Type $cell/*] {
                if {$::Type($name) eq "aximm"} continue
                set direction [expr {$::Type($name) eq "interrupt" ? "out" : "in"}]
                lappend found [lindex [split $name /] 1] $direction
            }
            return $found
        }
        zynq_ultra_ps_e {
            set found {pl_resetn0 out}
            foreach {name pin} {FPGA_PL0_ENABLE pl_clk0 FPGA_PL1_ENABLE pl_clk1} {
                if {[on $cell PSU__$name]} { lappend found $pin out }
            }
            foreach {name pin} {
                IRQ0 pl_ps_irq0 M_AXI_GP0 maxihpm0_fpd_aclk M_AXI_GP1 maxihpm1_fpd_aclk
                M_AXI_GP2 maxihpm0_lpd_aclk S_AXI_GP2 saxihp0_fpd_aclk S_AXI_GP3 saxihp1_fpd_aclk
                S_AXI_GP4 saxihp2_fpd_aclk S_AXI_GP5 saxihp3_fpd_aclk
            } {
                if {[on $cell PSU__USE__$name]} { lappend found $pin in }
            }
            return $found
        }
    }
}
# Roles and widths of a cell's buses.
proc buses_of {cell} {
    set found {}
    switch $::Kind($cell) {
        smartconnect {
            for {set i 0} {$i < $::Config($cell,NUM_SI)} {incr i} {
                lappend found [format S%02d_AXI $i] {slave any}
            }
            for {set i 0} {$i < $::Config($cell,NUM_MI)} {incr i} {
                lappend found [format M%02d_AXI $i] {master any}
            }
        }
        module {
            foreach name [array names ::Bus $cell/*] {
                set width $::Config($name,DATA_WIDTH)
                lappend found [lindex [split $name /] 1] [list $::Bus($name) $width]
            }
        }
        zynq_ultra_ps_e {
            foreach {number port role} {
                M_AXI_GP0 M_AXI_HPM0_FPD master S_AXI_GP2 S_AXI_HP0_FPD slave
                S_AXI_GP3 S_AXI_HP1_FPD slave S_AXI_GP4 S_AXI_HP2_FPD slave
                S_AXI_GP5 S_AXI_HP3_FPD slave
            } {
                if {![on $cell PSU__USE__$number]} continue
                set width $::Config($cell,PSU__[string map {_ {}} $number]__DATA_WIDTH)
                lappend found $port [list $role $width]
            }
        }
    }
    return $found
}
proc look_up {path names} {
    lassign [split $path /] cell name
    if {![info exists ::Kind($cell)]} { refuse "no cell $cell" }
    set found [$names $cell]
    if {![dict exists $found $name]} { refuse "no $path among [dict keys $found]" }
    return [dict get $found $name]
}
proc get_bd_pins {path} { look_up $path pins_of; return $path }
proc get_bd_intf_pins {path} { look_up $path buses_of; return $path }
proc connect_bd_net {args} {
    set from {}
    foreach pin $args {
        if {[look_up $pin pins_of] eq "out"} { lappend from $pin }
    }
    if {[llength $from] != 1} { refuse "a net of $args has not one driver" }
    foreach pin $args {
        if {$pin eq $from} continue
        if {[info exists ::Driver($pin)]} { refuse "$pin is driven by $::Driver($pin) already" }
        set ::Driver($pin) [lindex $from 0]
        note net [lindex $from 0] $pin
    }
}
proc connect_bd_intf_net {one other} {
    foreach bus [list $one $other] {
        if {[info exists ::Partner($bus)]} { refuse "$bus is connected already" }
    }
    if {[lindex [look_up $one buses_of] 0] eq [lindex [look_up $other buses_of] 0]} {
        refuse "$one and $other have the same role"
    }
    set ::Partner($one) $other
    set ::Partner($other) $one
    note bus $one $other
}
proc get_bd_addr_spaces {path} { return $path }
proc get_bd_addr_segs {path} { look_up [file dirname $path] buses_of; return $path }
proc assign_bd_address {args} {
    lassign [options $args {-offset -range -target_address_space} {}] found rest
    if {$found eq {}} { lappend ::Done addresses; return }
    note address [option $found -target_address_space] [lindex $rest 0] \
        [option $found -offset] [option $found -range]
}
proc clocks_of {path} {
    lassign [split $path /] cell name
    if {$::Kind($cell) eq "zynq_ultra_ps_e"} {
        set pin $cell/[string tolower [string map {_AXI {axi} _FPD _fpd_aclk} $name]]
        return [list $::Driver([string map {maxi_ maxi saxi_ saxi} $pin])]
    }
    set found {}
    foreach pin [array names ::Driver $cell/aclk*] { lappend found $::Driver($pin) }
    return $found
}
proc width_of {path} {
    set width [lindex [look_up $path buses_of] 1]
    if {$width eq "any"} { set width [lindex [look_up $::Partner($path) buses_of] 1] }
    return $width
}
proc validate_bd_design {} {
    after_step addresses
    foreach cell [array names ::Kind] {
        foreach {pin direction} [pins_of $cell] {
            if {$direction eq "in" && ![info exists ::Driver($cell/$pin)]} {
                refuse "$cell/$pin is not connected"
            }
        }
        foreach {name role} [buses_of $cell] {
            set path $cell/$name
            if {![info exists ::Partner($path)]} { refuse "$path is not connected" }
            set other $::Partner($path)
            if {[width_of $path] ne [width_of $other]} { refuse "$path and $other differ in width" }
            set common 0
            foreach clock [clocks_of $path] {
                if {$clock in [clocks_of $other]} { set common 1 }
            }
            if {!$common} { refuse "$path and $other have no clock in common" }
        }
    }
    lappend ::Done valid
}
proc save_bd_design {} { after_step valid }

# --- properties ----------------------------------------------------------------------------------
proc set_property {args} {
    if {[lindex $args 0] eq "-dict"} {
        lassign $args dash pairs object
    } else {
        lassign $args name value object
        set pairs [list $name $value]
    }
    foreach {name value} $pairs {
        set short [string map {CONFIG. {}} $name]
        if {[info exists ::Kind($object)]} {
            lappend ::Done properties
            if {$::Kind($object) eq "zynq_ultra_ps_e"} {
                after_step preset
                if {$short ni $::Allowed} { refuse "property $short is not in the list" }
                note property $short $value
            } elseif {$short ni {NUM_SI NUM_MI NUM_CLKS}} {
                refuse "$::Kind($object) has no property $short"
            }
            set ::Config($object,$short) $value
        } elseif {$name ni [dict get {
            project {board_part board_connections}
            sources_1 top
            system.bd synth_checkpoint_mode
            synth_1 STEPS.SYNTH_DESIGN.ARGS.KEEP_EQUIVALENT_REGISTERS
            impl_1 {STEPS.PHYS_OPT_DESIGN.IS_ENABLED STEPS.POST_ROUTE_PHYS_OPT_DESIGN.IS_ENABLED}
        } $object]} {
            refuse "$object has no property $name"
        } else {
            note property $name $value
        }
    }
}
proc get_property {name object} {
    if {[regexp {^CONFIG\.(PSU__CRL_APB__PL[01]_REF_CTRL__)ACT_FREQMHZ$} $name all clock]} {
        return [expr {$::Fault(CLOCK) ne {} ? $::Fault(CLOCK) : $::Config($object,${clock}FREQMHZ)}]
    }
    switch $name {
        CONFIG.DATA_WIDTH { return [expr {$::Fault(WIDTH) ne {} ? $::Fault(WIDTH) : [width_of $object]}] }
        DIRECTORY { return [file join $::Folder project.runs $object] }
        PROGRESS { return $::Fault(PROGRESS) }
        STATUS { return "stopped" }
        SLACK { return $::Fault(SLACK) }
        default { refuse "$object has no property $name" }
    }
}

# --- runs ----------------------------------------------------------------------------------------
proc get_files {name} { after_step design; return $name }
proc generate_target {what source} {
    after_step valid
    set path [file join $::Folder project.gen sources_1 bd system hw_handoff]
    file mkdir $path
    close [open [file join $path system.hwh] w]
}
proc make_wrapper {args} {
    lassign [options $args {-files -fileset} {-top -import}] found rest
    lappend ::Done wrapper
}
proc get_runs {name} { return $name }
proc launch_runs {args} {
    lassign [options $args {-jobs -to_step} {}] found run
    after_step [dict get {synth_1 wrapper impl_1 synth_1} $run]
    set folder [get_property DIRECTORY $run]
    file mkdir $folder
    set file [open [file join $folder runme.log] w]
    puts $file "INFO: a run\n$::Fault(LOG)"
    close $file
    if {[dict exists $found -to_step]} {
        after_step checked
        close [open [file join $folder system_wrapper.bit] w]
        lappend ::Done [dict get $found -to_step]
    }
    lappend ::Running $run
}
proc wait_on_run {run} {
    if {$run ni $::Running} { refuse "$run was not launched" }
    lappend ::Done $run
}
proc open_run {run} { after_step $run; lappend ::Done open }
proc get_cells {args} { after_step open; options $args -filter -hierarchical; return cell }
proc get_timing_paths {args} {
    after_step open
    options $args {-delay_type -max_paths -nworst} {}
    return path
}
proc write_report {arguments valued flags} {
    lassign [options $arguments [concat -file $valued] $flags] found rest
    close [open [option $found -file] w]
}
proc report_utilization {args} { after_step open; write_report $args -cells -hierarchical }
proc report_timing_summary {args} { after_step open; write_report $args {} {} }
proc report_power {args} { after_step open; write_report $args {} {} }
proc report_route_status {args} {
    after_step open
    if {[lindex $args 0] eq "-boolean_check"} { lappend ::Done checked; return $::Fault(ROUTED) }
    write_report $args {} {}
}
proc write_hw_platform {args} {
    after_step write_bitstream
    lassign [options $args -file {-fixed -include_bit -force}] found rest
    close [open [option $found -file] w]
}

set script [lindex $argv 1]
set argv {}
source $script
