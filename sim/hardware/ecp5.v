// Models of ECP5 primitives that Yosys has none of, for netlists after place and route.
//
// Two-state, and cycle by cycle: no delays. Sources: Lattice FPGA-TN-02204 (memory), FPGA-TN-02205
// (DSP), FPGA-TN-02200 (clocks), and what nextpnr-ecp5 writes. Benches: tests/sim/netlist/.
// Inversions and constants of ports (CLKAMUX and its like) are no part of these: sim/netlist/routed.py
// makes cells and wires of them.

// Block RAM of 18 kbit with two ports, each of 1, 2, 4, 9 or 18 bits; or both of 36: then A writes what is
// at DIB and DIA, with byte enables in ADA3 to ADA0, and B reads to DOB and DOA.
//
// Widths of 9 and 18 have all 18,432 bits, others 16,384: they leave out the ninth bit of each byte.
// An 18 bits wide port has byte enables in ADx0 and ADx1. A port reads, or writes, or both as
// WRITEMODE says; with REGMODE "OUTREG" a second register follows, enabled by OCEx. A bit that is read
// while the other port writes it is anything in the device: here the inverse of what was there.
module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
  input DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
  output DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
  input DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
  output DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
  parameter GSR = "DISABLED", WID = 0, INIT_DATA = "STATIC";
  // 1,024 rows of 20 bits, of which 18 are there: the 64 parameters INITVAL_xx, joined.
  parameter [20479:0] CONTENT = 0;

  wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
                     DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
                     DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7,
                     ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7,
                     ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  localparam WIDE = DATA_WIDTH_A == 36 && DATA_WIDTH_B == 36;
  wire [9:0] rowa = WIDE ? {ada[13:5], 1'b0} : ada[13:4], rowb = WIDE ? {adb[13:5], 1'b1} : adb[13:4];
  wire [9:0] pair = {ada[13:5], 1'b1};
  wire ena = CEA & {CSA2, CSA1, CSA0} == 3'b000, enb = CEB & {CSB2, CSB1, CSB0} == 3'b000;
  wire wea = ena & WEA, web = enb & WEB;

  reg [17:0] rows [0:1023];
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) rows[i] = CONTENT[20*i +: 18];

  wire [17:0] maska, maskb, placeda, placedb, founda, foundb;
  ecp5_port_place #(.WIDTH(DATA_WIDTH_A)) placea(.address(ada[3:0]), .data(dia), .mask(maska), .placed(placeda));
  ecp5_port_place #(.WIDTH(DATA_WIDTH_B)) placeb(.address(WIDE ? {2'd0, ada[3:2]} : adb[3:0]), .data(dib), .mask(maskb), .placed(placedb));

  wire [17:0] olda = rows[rowa], oldb = rows[rowb];
  wire [17:0] newa = (olda & ~maska) | (placeda & maska), newb = (oldb & ~maskb) | (placedb & maskb);
  wire collision = WIDE ? ada[13:5] == adb[13:5] : rowa == rowb;

  always @(posedge CLKA) if (wea) begin
    rows[rowa] <= newa;
    if (WIDE) rows[pair] <= (rows[pair] & ~maskb) | (placedb & maskb);
  end
  always @(posedge CLKB) if (web & !WIDE) rows[rowb] <= newb;

  wire [17:0] low = rows[{adb[13:5], 1'b0}];
  wire [17:0] seena = WIDE ? (collision & wea ? low ^ maska : low) : wea & WRITEMODE_A == "WRITETHROUGH" ? newa : collision & web ? olda ^ maskb : olda;
  wire [17:0] seenb = web & WRITEMODE_B == "WRITETHROUGH" ? newb : collision & wea ? oldb ^ (WIDE ? maskb : maska) : oldb;
  ecp5_port_find #(.WIDTH(DATA_WIDTH_A)) finda(.address(ada[3:0]), .row(seena), .data(founda));
  ecp5_port_find #(.WIDTH(DATA_WIDTH_B)) findb(.address(adb[3:0]), .row(seenb), .data(foundb));

  wire [17:0] doa, dob;
  ecp5_port_output #(.REGMODE(REGMODE_A), .RESETMODE(RESETMODE)) outputa(
    .clk(WIDE ? CLKB : CLKA), .enable(WIDE ? enb : ena & ~(wea & WRITEMODE_A == "NORMAL")), .next(OCEA), .rst(RSTA), .d(founda), .q(doa));
  ecp5_port_output #(.REGMODE(REGMODE_B), .RESETMODE(RESETMODE)) outputb(
    .clk(CLKB), .enable(enb & ~(web & !WIDE & WRITEMODE_B == "NORMAL")), .next(OCEB), .rst(RSTB), .d(foundb), .q(dob));
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
          DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = doa;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
          DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = dob;
endmodule

// A port's data to its place in a row, and the bits of the row that it writes.
module ecp5_port_place(input [3:0] address, input [17:0] data, output [17:0] mask, output [17:0] placed);
  parameter WIDTH = 18;
  wire [2:0] low_bits = WIDTH >= 9 ? 3'd0 : WIDTH == 4 ? {address[2], 2'd0} : WIDTH == 2 ? {address[2:1], 1'd0} : address[2:0];
  wire [4:0] shift = (address[3] ? 5'd9 : 5'd0) + {2'd0, low_bits};
  generate
    if (WIDTH >= 18) begin
      assign mask = {{9{address[1]}}, {9{address[0]}}};
      assign placed = data;
    end else begin
      wire [17:0] low = (18'd1 << WIDTH) - 18'd1;
      assign mask = low << shift;
      assign placed = (data & low) << shift;
    end
  endgenerate
endmodule

// A row to a port's data.
module ecp5_port_find(input [3:0] address, input [17:0] row, output [17:0] data);
  parameter WIDTH = 18;
  wire [2:0] low_bits = WIDTH >= 9 ? 3'd0 : WIDTH == 4 ? {address[2], 2'd0} : WIDTH == 2 ? {address[2:1], 1'd0} : address[2:0];
  wire [4:0] shift = (address[3] ? 5'd9 : 5'd0) + {2'd0, low_bits};
  generate
    if (WIDTH >= 18) assign data = row;
    else assign data = (row >> shift) & ((18'd1 << WIDTH) - 18'd1);
  endgenerate
endmodule

// One or two registers, the last of which can be reset.
module ecp5_port_output(input clk, input enable, input next, input rst, input [17:0] d, output [17:0] q);
  parameter REGMODE = "NOREG", RESETMODE = "SYNC";
  wire [17:0] last;
  wire load;
  generate
    if (REGMODE == "OUTREG") begin
      reg [17:0] first = 0;
      always @(posedge clk) if (enable) first <= d;
      assign last = first;
      assign load = next;
    end else begin
      assign last = d;
      assign load = enable;
    end
    reg [17:0] register = 0;
    if (RESETMODE == "ASYNC") begin
      always @(posedge clk, posedge rst)
        if (rst) register <= 0;
        else if (load) register <= last;
    end else begin
      always @(posedge clk)
        if (rst) register <= 0;
        else if (load) register <= last;
    end
    assign q = register;
  endgenerate
endmodule

// Multiplier of 18 x 18 bits, each signed or not, with registers at its inputs, behind the product,
// and at its output. Shifting in (SOURCEA, SOURCEB) and cascades are not modelled.
module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  input CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0, RST3, RST2, RST1, RST0,
  input SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9,
  input SRIA8, SRIA7, SRIA6, SRIA5, SRIA4, SRIA3, SRIA2, SRIA1, SRIA0,
  input SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11, SRIB10, SRIB9,
  input SRIB8, SRIB7, SRIB6, SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
  output P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  parameter GSR = "DISABLED", RESETMODE = "SYNC";

  wire [3:0] clk = {CLK3, CLK2, CLK1, CLK0}, ce = {CE3, CE2, CE1, CE0}, rst = {RST3, RST2, RST1, RST0};
  wire [17:0] a0 = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b0 = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  wire [18:0] a, b;
  ecp5_stage #(.WIDTH(19), .CLK(REG_INPUTA_CLK), .CE(REG_INPUTA_CE), .RST(REG_INPUTA_RST), .RESETMODE(RESETMODE))
    inputa(.clk(clk), .ce(ce), .rst(rst), .d({SIGNEDA & A17, a0}), .q(a));
  ecp5_stage #(.WIDTH(19), .CLK(REG_INPUTB_CLK), .CE(REG_INPUTB_CE), .RST(REG_INPUTB_RST), .RESETMODE(RESETMODE))
    inputb(.clk(clk), .ce(ce), .rst(rst), .d({SIGNEDB & B17, b0}), .q(b));
  wire signed [37:0] product = $signed(a) * $signed(b);
  wire [35:0] piped, p;
  ecp5_stage #(.WIDTH(36), .CLK(REG_PIPELINE_CLK), .CE(REG_PIPELINE_CE), .RST(REG_PIPELINE_RST), .RESETMODE(RESETMODE))
    pipeline(.clk(clk), .ce(ce), .rst(rst), .d(product[35:0]), .q(piped));
  ecp5_stage #(.WIDTH(36), .CLK(REG_OUTPUT_CLK), .CE(REG_OUTPUT_CE), .RST(REG_OUTPUT_RST), .RESETMODE(RESETMODE))
    product_out(.clk(clk), .ce(ce), .rst(rst), .d(piped), .q(p));
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
          P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
endmodule

// A register of a multiplier, or none: clock, enable and reset are one of four each.
module ecp5_stage(input [3:0] clk, input [3:0] ce, input [3:0] rst, input [WIDTH-1:0] d, output [WIDTH-1:0] q);
  parameter WIDTH = 36;
  parameter CLK = "NONE", CE = "CE0", RST = "RST0", RESETMODE = "SYNC";
  wire enable = CE == "CE3" ? ce[3] : CE == "CE2" ? ce[2] : CE == "CE1" ? ce[1] : ce[0];
  wire reset = RST == "RST3" ? rst[3] : RST == "RST2" ? rst[2] : RST == "RST1" ? rst[1] : rst[0];
  wire clock = CLK == "CLK3" ? clk[3] : CLK == "CLK2" ? clk[2] : CLK == "CLK1" ? clk[1] : clk[0];
  generate
    if (CLK == "NONE") assign q = d;
    else begin
      reg [WIDTH-1:0] register = 0;
      if (RESETMODE == "ASYNC") begin
        always @(posedge clock, posedge reset)
          if (reset) register <= 0;
          else if (enable) register <= d;
      end else begin
        always @(posedge clock)
          if (reset) register <= 0;
          else if (enable) register <= d;
      end
      assign q = register;
    end
  endgenerate
endmodule

// Phase-locked loop: there is no time between the edges of a simulation without delays, so its output is
// the clock that it gets, which a bench runs at the output's rate. It locks after LOCK_CYCLES of them.
module EHXPLLL(
  input CLKI, CLKFB, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG, STDBY, PLLWAKESYNC,
  input RST, ENCLKOP, ENCLKOS, ENCLKOS2, ENCLKOS3,
  output CLKOP, CLKOS, CLKOS2, CLKOS3, LOCK, INTLOCK, REFCLK, CLKINTFB
);
  parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
  parameter CLKOP_ENABLE = "ENABLED", FEEDBK_PATH = "CLKOP";
  localparam LOCK_CYCLES = 8;
  reg [3:0] cycles = 0;
  assign CLKOP = CLKI;
  assign LOCK = cycles == LOCK_CYCLES;
  always @(posedge CLKI, posedge RST)
    if (RST) cycles <= 0;
    else if (!LOCK) cycles <= cycles + 1;
  assign {CLKOS, CLKOS2, CLKOS3, INTLOCK, REFCLK, CLKINTFB} = {5'b0, CLKFB};
endmodule

// The gate in front of a global clock network.
module DCCA(input CLKI, input CE, output CLKO);
  assign CLKO = CLKI & CE;
endmodule

// Slice C in front of the look-up tables that are RAM: address and data to their places.
module TRELLIS_RAMW(
  input A0, B0, C0, D0, A1, B1, C1, D1,
  output WDO0, WDO1, WDO2, WDO3, WADO0, WADO1, WADO2, WADO3
);
  assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
  assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule

// A pin's buffer, in one direction.
module ecp5_pin(input A, output Z);
  assign Z = A;
endmodule
