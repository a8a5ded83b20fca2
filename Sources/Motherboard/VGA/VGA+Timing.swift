import Devices

/// Where the beam is: the CRTC's counters run with the dot clock in guest time.
extension VGA {
  /// One frame in dots and lines.
  struct FrameTiming: Equatable {
    var dotsPerSecond: UInt64
    var dotsPerLine: UInt64
    var lines: UInt64
    var displayedDots: UInt64
    var displayedLines: UInt64
    var retraceStart: UInt64
    var retraceEnd: UInt64

    /// 640 by 480 at 60 Hz: for modes whose timing nobody programs.
    static let standard = FrameTiming(
      dotsPerSecond: 25_175_000, dotsPerLine: 800, lines: 525, displayedDots: 640, displayedLines: 480, retraceStart: 490, retraceEnd: 492)
  }

  var timing: FrameTiming {
    let r = registers
    guard !r.isDispiEnabled else { return .standard }
    let dots = UInt64(r.dotsPerCharacter)
    let overflow = r.crtc[7]
    let lines = UInt64(r.crtc[6]) + UInt64(overflow & 1) << 8 + UInt64(overflow & 0x20) << 4 + 2
    let start = UInt64(r.crtc[0x10]) + UInt64(overflow & 4) << 6 + UInt64(overflow & 0x80) << 2
    // The end is compared by its low four bits.
    let length = (UInt64(r.crtc[0x11]) &- start) & 15
    let clock: UInt64 = r.miscellaneousOutput & 0x0C == 4 ? 28_322_000 : 25_175_000
    let timing = FrameTiming(
      dotsPerSecond: r.sequencer[1] & 8 != 0 ? clock / 2 : clock, dotsPerLine: (UInt64(r.crtc[0]) + 5) * dots, lines: lines,
      displayedDots: (UInt64(r.crtc[1]) + 1) * dots, displayedLines: UInt64(r.verticalDisplayEnd) + 1, retraceStart: start,
      retraceEnd: start + (length == 0 ? 16 : length))
    // Half-programmed counters would never come to a retrace that software waits for.
    guard timing.displayedDots < timing.dotsPerLine, timing.displayedLines < lines, timing.retraceStart < lines else { return .standard }
    return timing
  }

  /// Input status 1: bit 0, nothing is displayed (either retrace, and the borders); bit 3, vertical retrace.
  var inputStatus1: UInt8 {
    let timing = timing
    let dot = board.ticks(ofCycles: board.now, at: timing.dotsPerSecond) % (timing.dotsPerLine * timing.lines)
    let (line, column) = (dot / timing.dotsPerLine, dot % timing.dotsPerLine)
    var status: UInt8 = line >= timing.displayedLines || column >= timing.displayedDots ? 1 : 0
    if line >= timing.retraceStart && line < timing.retraceEnd { status |= 8 }
    return status
  }

  /// Frames displayed since power-on: the cursor and blinking characters go by it.
  public var frameNumber: UInt64 {
    let timing = timing
    return board.ticks(ofCycles: board.now, at: timing.dotsPerSecond) / (timing.dotsPerLine * timing.lines)
  }
}
