// Models of the UltraScale primitives that rtl/arith/ultrascale.py and
// rtl/memory/scratchpads/ultraram.py make components of: what they use and nothing else. Another attribute or another pin is unknown here, and another value of an
// attribute or of a constant pin stops the build or the simulation. They have no delays and no
// unknown values, and become part of the module around them, where constants decide what is left.
// Sources: AMD UG579 (DSP48E2), UG574 (LUTs, CARRY8), UG573 and UG974 (URAM288_BASE).


// P = (A [+ D]) * B + (0 | PCIN | C) + (RND where OPMODE[8])
module DSP48E2 #(
    parameter A_INPUT = "DIRECT",
    parameter B_INPUT = "DIRECT",
    parameter AMULTSEL = "A",
    parameter BMULTSEL = "B",
    parameter PREADDINSEL = "A",
    parameter USE_MULT = "MULTIPLY",
    parameter USE_SIMD = "ONE48",
    parameter USE_PATTERN_DETECT = "NO_PATDET",
    parameter AUTORESET_PATDET = "NO_RESET",
    parameter USE_WIDEXOR = "FALSE",
    parameter logic [47:0] RND = 48'h0,
    parameter int AREG = 1,
    parameter int ACASCREG = 1,
    parameter int BREG = 1,
    parameter int BCASCREG = 1,
    parameter int DREG = 1,
    parameter int ADREG = 1,
    parameter int CREG = 1,
    parameter int MREG = 1,
    parameter int PREG = 1,
    parameter int OPMODEREG = 1,
    parameter int ALUMODEREG = 1,
    parameter int INMODEREG = 1,
    parameter int CARRYINREG = 1,
    parameter int CARRYINSELREG = 1
) (
    input logic CLK,
    input logic [29:0] A,
    input logic [17:0] B,
    input logic [47:0] C,
    input logic [26:0] D,
    input logic [47:0] PCIN,
    input logic [8:0] OPMODE,
    input logic [4:0] INMODE,
    input logic [3:0] ALUMODE,
    input logic [2:0] CARRYINSEL,
    input logic CARRYIN,
    input logic CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP, CECTRL,
    input logic CEALUMODE, CECARRYIN, CEINMODE,
    input logic RSTA, RSTB, RSTC, RSTD, RSTM, RSTP, RSTCTRL, RSTALUMODE, RSTINMODE, RSTALLCARRYIN,
    output logic [47:0] P,
    output logic [47:0] PCOUT
);
  /* verilator inline_module */
  localparam bit PREADDER = AMULTSEL == "AD";

  if (A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || BMULTSEL != "B" || PREADDINSEL != "A"
      || AMULTSEL != "A" && AMULTSEL != "AD") begin : g_no_inputs
    $fatal(1, "DSP48E2: no model of A_INPUT %s, B_INPUT %s, AMULTSEL %s, BMULTSEL %s, PREADDINSEL %s",
           A_INPUT, B_INPUT, AMULTSEL, BMULTSEL, PREADDINSEL);
  end
  if (USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48" || USE_PATTERN_DETECT != "NO_PATDET"
      || AUTORESET_PATDET != "NO_RESET" || USE_WIDEXOR != "FALSE") begin : g_no_functions
    $fatal(1, "DSP48E2: no model of USE_MULT %s, USE_SIMD %s, USE_PATTERN_DETECT %s, %s, %s",
           USE_MULT, USE_SIMD, USE_PATTERN_DETECT, AUTORESET_PATDET, USE_WIDEXOR);
  end
  if (AREG != 1 && AREG != 2 || AREG != ACASCREG || BREG != 1 && BREG != 2 || BREG != BCASCREG)
  begin : g_no_operand_registers
    $fatal(1, "DSP48E2: no model of AREG %0d, ACASCREG %0d, BREG %0d, BCASCREG %0d",
           AREG, ACASCREG, BREG, BCASCREG);
  end
  if (DREG != 1 || ADREG != 1 || CREG != 1 || MREG != 1 || PREG != 1) begin : g_no_registers
    $fatal(1, "DSP48E2: no model of DREG %0d, ADREG %0d, CREG %0d, MREG %0d, PREG %0d",
           DREG, ADREG, CREG, MREG, PREG);
  end
  if (OPMODEREG != 0 && OPMODEREG != 1 || ALUMODEREG != 0 || INMODEREG != 0 || CARRYINREG != 0
      || CARRYINSELREG != 0) begin : g_no_control_registers
    $fatal(1, "DSP48E2: no model of OPMODEREG %0d, ALUMODEREG %0d, INMODEREG %0d, %0d, %0d",
           OPMODEREG, ALUMODEREG, INMODEREG, CARRYINREG, CARRYINSELREG);
  end

  // X and Y are the product; Z is 0, PCIN or C; W is 0 or RND.
  wire z_is_known = OPMODE[6:4] == 3'b000 || OPMODE[6:4] == 3'b001 || OPMODE[6:4] == 3'b011;
  wire is_known = OPMODE[3:0] == 4'b0101 && z_is_known && !OPMODE[7]
      && INMODE == (PREADDER ? 5'b00100 : 5'b00000) && ALUMODE == 0 && CARRYINSEL == 0 && !CARRYIN
      && CEA1 == (AREG == 2) && CEA2 && CEB1 == (BREG == 2) && CEB2 && CEM && CEP
      && CED == PREADDER && CEAD == PREADDER && CEC == (OPMODE[6:4] == 3'b011)
      && CECTRL == (OPMODEREG == 1) && !(CEALUMODE | CECARRYIN | CEINMODE)
      && !(RSTA | RSTB | RSTC | RSTD | RSTM | RSTP | RSTCTRL | RSTALUMODE | RSTINMODE
           | RSTALLCARRYIN);
  always_ff @(posedge CLK)
    if (!is_known) $fatal(1, "DSP48E2: no model of these OPMODE, INMODE, ALUMODE, enables, resets");

  logic signed [26:0] a2, multiplicand;
  logic signed [17:0] b2;
  logic signed [44:0] product;
  logic add_constant;

  if (AREG == 2) begin : g_a1
    logic signed [26:0] a1;
    always_ff @(posedge CLK) {a1, a2} <= {A[26:0], a1};
  end else begin : g_a
    always_ff @(posedge CLK) a2 <= A[26:0];
  end
  if (BREG == 2) begin : g_b1
    logic signed [17:0] b1;
    always_ff @(posedge CLK) {b1, b2} <= {B, b1};
  end else begin : g_b
    always_ff @(posedge CLK) b2 <= B;
  end
  if (PREADDER) begin : g_ad
    logic signed [26:0] d, ad;
    always_ff @(posedge CLK) begin
      d <= D;
      ad <= a2 + d;
    end
    assign multiplicand = ad;
  end else begin : g_no_ad
    assign multiplicand = a2;
  end
  if (OPMODEREG == 1) begin : g_opmode
    always_ff @(posedge CLK) add_constant <= OPMODE[8];
  end else begin : g_no_opmode
    assign add_constant = OPMODE[8];
  end

  logic [47:0] c, z;
  always_ff @(posedge CLK) c <= C;
  assign z = OPMODE[5] ? c : OPMODE[4] ? PCIN : 48'h0;
  always_ff @(posedge CLK) begin
    product <= multiplicand * b2;
    P <= z + 48'(product) + (add_constant ? RND : 48'h0);
  end
  assign PCOUT = P;
endmodule


// The two halves of a carry-save adder: whether two of three are set, and the parity of four.
module LUT3 #(
    parameter logic [7:0] INIT = 8'h0
) (
    input logic I0, I1, I2,
    output logic O
);
  /* verilator inline_module */
  if (INIT != 8'hE8) begin : g_no_init
    $fatal(1, "LUT3: no model of INIT %h", INIT);
  end
  assign O = I0 & I1 | I0 & I2 | I1 & I2;
endmodule


module LUT4 #(
    parameter logic [15:0] INIT = 16'h0
) (
    input logic I0, I1, I2, I3,
    output logic O
);
  /* verilator inline_module */
  if (INIT != 16'h6996) begin : g_no_init
    $fatal(1, "LUT4: no model of INIT %h", INIT);
  end
  assign O = I0 ^ I1 ^ I2 ^ I3;
endmodule


// Bit n of CO is S[n] ? the carry below : DI[n].
module CARRY8 #(
    parameter CARRY_TYPE = "SINGLE_CY8"
) (
    input logic CI,
    input logic [7:0] S, DI,
    output logic [7:0] O, CO
);
  /* verilator inline_module */
  if (CARRY_TYPE != "SINGLE_CY8") begin : g_no_type
    $fatal(1, "CARRY8: no model of CARRY_TYPE %s", CARRY_TYPE);
  end

  // DI and DI ^ S generate a carry where S is clear and DI set, and pass one on where S is set.
  wire [8:0] total = {1'b0, DI} + {1'b0, DI ^ S} + 9'(CI);
  assign O = total[7:0];
  assign CO = {total[8], total[7:1] ^ S[7:1]};
endmodule


// 4,096 words of nine bytes: port A reads, port B writes. As bad as it may be: it starts with
// anything, and a read that collides with a write is inverted, where the device gives the word as
// it was before.
module URAM288_BASE #(
    parameter BWE_MODE_A = "PARITY_INTERLEAVED",
    parameter BWE_MODE_B = "PARITY_INTERLEAVED",
    parameter OREG_A = "FALSE"
) (
    input logic CLK, SLEEP,
    input logic [22:0] ADDR_A, ADDR_B,
    input logic EN_A, EN_B, RDB_WR_A, RDB_WR_B,
    input logic [8:0] BWE_A, BWE_B,
    input logic [71:0] DIN_A, DIN_B,
    input logic OREG_CE_A, OREG_CE_B, OREG_ECC_CE_A, OREG_ECC_CE_B, RST_A, RST_B,
    input logic INJECT_SBITERR_A, INJECT_SBITERR_B, INJECT_DBITERR_A, INJECT_DBITERR_B,
    output logic [71:0] DOUT_A
);
  /* verilator inline_module */
  if (BWE_MODE_A != "PARITY_INDEPENDENT" || BWE_MODE_B != "PARITY_INDEPENDENT" || OREG_A != "TRUE")
  begin : g_no_mode
    $fatal(1, "URAM288_BASE: no model of BWE_MODE_A %s, BWE_MODE_B %s, OREG_A %s",
           BWE_MODE_A, BWE_MODE_B, OREG_A);
  end

  wire is_known = !SLEEP && !RDB_WR_A && RDB_WR_B && BWE_A == 0 && DIN_A == 0 && OREG_CE_A
      && !OREG_CE_B && ADDR_A[22:12] == 0 && ADDR_B[22:12] == 0
      && !(OREG_ECC_CE_A | OREG_ECC_CE_B | RST_A | RST_B | INJECT_SBITERR_A | INJECT_SBITERR_B
           | INJECT_DBITERR_A | INJECT_DBITERR_B);
  always_ff @(posedge CLK)
    if (!is_known) $fatal(1, "URAM288_BASE: no model of these enables, addresses, resets, errors");

  logic [71:0] words[4096];
  logic [71:0] read;
  initial for (int word = 0; word < 4096; word++) words[word] = {3{24'h9E3779 ^ 24'(word)}};

  wire collides = EN_B && BWE_B != 0 && ADDR_A == ADDR_B;
  always_ff @(posedge CLK) begin
    if (EN_A) read <= words[ADDR_A[11:0]] ^ {72{collides}};
    DOUT_A <= read;
    for (int lane = 0; lane < 9; lane++)
      if (EN_B && BWE_B[lane]) words[ADDR_B[11:0]][8 * lane +: 8] <= DIN_B[8 * lane +: 8];
  end
endmodule
