// AXI4 slave memory for simulation: contents in C++ (memory.cpp), timing here.
//
// Reads and writes share `bytes_per_cycle` (8 fraction bits). The first beat of a burst comes
// `latency` cycles after its address was taken, and a write's answer as long after its last beat;
// later bursts overlap, in order, up to QUEUE of them. `stall` of 256 cycles, at random, each
// channel holds still. A read or write that touches the beat at `error_address` is answered with
// SLVERR.

module axi_memory #(
    parameter int BYTES = 16,
    parameter int QUEUE = 64
) (
    input logic clk,
    input logic rst,

    input logic [15:0] latency,
    input logic [15:0] bytes_per_cycle,
    input logic [7:0] stall,
    input logic [31:0] seed,
    input logic [39:0] error_address,

    input logic arvalid,
    output logic arready,
    input logic [39:0] araddr,
    input logic [7:0] arlen,
    output logic rvalid,
    input logic rready,
    output logic [8*BYTES-1:0] rdata,
    output logic [1:0] rresp,
    output logic rlast,

    input logic awvalid,
    output logic awready,
    input logic [39:0] awaddr,
    input logic [7:0] awlen,
    input logic wvalid,
    output logic wready,
    input logic [8*BYTES-1:0] wdata,
    input logic [BYTES-1:0] wstrb,
    input logic wlast,
    output logic bvalid,
    input logic bready,
    output logic [1:0] bresp
);
  import "DPI-C" function void memory_read(
    input longint address,
    output bit [8*BYTES-1:0] data
  );
  import "DPI-C" function void memory_write(
    input longint address,
    input bit [8*BYTES-1:0] data,
    input bit [BYTES-1:0] strobe
  );

  localparam int INDEX = $clog2(QUEUE);
  localparam logic [1:0] OKAY = 2'b00, SLVERR = 2'b10;

  // Time, randomness, bandwidth.
  localparam int W = 0, R = 1, AR = 2, AW = 3, B = 4, CHANNELS = 5;
  logic [31:0] now;
  logic [63:0] noise;
  logic [23:0] credit;
  localparam logic [23:0] COST = 24'(BYTES) << 8;
  logic read_beat, write_beat, may_read, may_write;
  logic [CHANNELS-1:0] hold;

  function automatic logic [63:0] next_noise(input logic [63:0] x);
    logic [63:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 7);
    return y ^ (y << 17);
  endfunction

  always_comb begin
    for (int channel = 0; channel < CHANNELS; channel++)
      hold[channel] = noise[8*channel+:8] < stall;
    may_write = credit >= COST && !hold[W];
    may_read = credit >= (write_beat ? 2 * COST : COST) && !hold[R];
  end

  always_ff @(posedge clk) begin
    automatic logic [23:0] left;
    now <= now + 1;
    noise <= rst ? {~seed, seed} : next_noise(noise);
    left = credit - (read_beat ? COST : 0) - (write_beat ? COST : 0) + 24'(bytes_per_cycle);
    credit <= left > 4 * COST ? 4 * COST : left;
    if (rst) begin
      now <= 0;
      credit <= COST;
    end
  end

  // Reads: a queue of bursts, each with the time of its first beat.
  logic [39:0] read_address[QUEUE];
  logic [7:0] read_length[QUEUE];
  logic [31:0] read_time[QUEUE];
  logic [INDEX:0] read_head, read_tail;
  logic [7:0] read_done;
  logic [39:0] beat_address;
  wire [INDEX-1:0] head = read_head[INDEX-1:0];
  wire read_waiting = read_head != read_tail;
  assign arready = (read_tail - read_head) != (INDEX + 1)'(QUEUE) && !hold[AR];
  assign beat_address = (read_address[head] & ~40'(BYTES - 1)) + 40'(read_done) * BYTES;
  assign read_beat = read_waiting && $signed(now - read_time[head]) >= 0 && may_read
      && (!rvalid || rready);

  always_ff @(posedge clk) begin
    automatic bit [8*BYTES-1:0] value;
    if (arvalid && arready) begin
      read_address[read_tail[INDEX-1:0]] <= araddr;
      read_length[read_tail[INDEX-1:0]] <= arlen;
      read_time[read_tail[INDEX-1:0]] <= now + 32'(latency);
      read_tail <= read_tail + 1;
    end
    if (rready) rvalid <= 0;
    if (read_beat) begin
      memory_read(64'(beat_address), value);
      rvalid <= 1;
      rdata <= value;
      rresp <= beat_address == (error_address & ~40'(BYTES - 1)) ? SLVERR : OKAY;
      rlast <= read_done == read_length[head];
      read_done <= read_done == read_length[head] ? 0 : read_done + 1;
      if (read_done == read_length[head]) read_head <= read_head + 1;
    end
    if (rst) begin
      {rvalid, read_done} <= 0;
      {read_head, read_tail} <= 0;
    end
  end

  // Writes: a queue of bursts; each is answered `latency` cycles after its last beat.
  logic [39:0] write_address[QUEUE];
  logic [31:0] answer_time[QUEUE];
  logic [QUEUE-1:0] failed;
  logic [INDEX:0] write_head, write_tail, answer_head;
  logic [7:0] write_done;
  logic [39:0] written;
  wire [INDEX-1:0] to = write_head[INDEX-1:0];
  wire [INDEX-1:0] answered = answer_head[INDEX-1:0];
  wire bad = written == (error_address & ~40'(BYTES - 1));
  assign awready = (write_tail - answer_head) != (INDEX + 1)'(QUEUE) && !hold[AW];
  assign wready = write_head != write_tail && may_write;
  assign written = (write_address[to] & ~40'(BYTES - 1)) + 40'(write_done) * BYTES;
  assign write_beat = wvalid && wready;

  always_ff @(posedge clk) begin
    if (awvalid && awready) begin
      write_address[write_tail[INDEX-1:0]] <= awaddr;
      failed[write_tail[INDEX-1:0]] <= 0;
      write_tail <= write_tail + 1;
    end
    if (write_beat) begin
      if (bad) failed[to] <= 1;
      else memory_write(64'(written), wdata, wstrb);
      write_done <= wlast ? 0 : write_done + 1;
      if (wlast) begin
        answer_time[to] <= now + 32'(latency);
        write_head <= write_head + 1;
      end
    end
    if (bready) bvalid <= 0;
    if (answer_head != write_head && $signed(now - answer_time[answered]) >= 0
        && (!bvalid || bready) && !hold[B]) begin
      answer_head <= answer_head + 1;
      bvalid <= 1;
      bresp <= failed[answered] ? SLVERR : OKAY;
    end
    if (rst) begin
      {bvalid, write_done} <= 0;
      {write_head, write_tail, answer_head} <= 0;
    end
  end
endmodule


// The memory's content is the file +memory=FILE, from address 0 on, +memory_bytes=N bytes in all: who
// maps the file, too, sees every write at once.
module memory_files;
  import "DPI-C" function void memory_open(
    input string file,
    input longint bytes
  );
  string file;
  longint bytes;

  initial begin
    if ($value$plusargs("memory=%s", file) && $value$plusargs("memory_bytes=%d", bytes))
      memory_open(file, bytes);
  end
endmodule


// Every write to one scratchpad, as records of WORDS 32-bit words: the cycle, then the beat.
module tap_sink #(
    parameter int CHANNEL = 0,
    parameter string NAME = "",
    parameter int BITS = 32
) (
    input logic clk,
    input logic enable,
    input logic valid,
    input logic [BITS-1:0] beat
);
  import "DPI-C" function void tap_open(
    input int channel,
    input string file
  );
  import "DPI-C" function void tap_write(
    input int channel,
    input int words,
    input int cycle,
    input bit [4095:0] beat
  );
  localparam int WORDS = (BITS + 31) / 32;
  string folder;
  int cycle;

  initial if ($value$plusargs("tap=%s", folder)) tap_open(CHANNEL, {folder, "/", NAME, ".bin"});
  always_ff @(posedge clk) begin
    cycle <= cycle + 1;
    if (valid && enable) tap_write(CHANNEL, WORDS, cycle, 4096'(beat));
  end
endmodule
