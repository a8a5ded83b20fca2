/// What the monitor says of itself (VESA Enhanced EDID Standard, release A revision 2: EDID 1.4).
enum EDID {
  /// One block of 128 bytes: a monitor that likes 1024 by 768 at 60 Hz best.
  static let block: [UInt8] = {
    var bytes: [UInt8] = [0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00]
    // Manufacturer "PVN" in three times five bits, big-endian; product 1, no serial number, made in 2026.
    let maker = "PVN".utf8.reduce(UInt16(0)) { $0 << 5 | UInt16($1 & 0x1F) }
    bytes += [UInt8(maker >> 8), UInt8(maker & 0xFF), 1, 0, 0, 0, 0, 0, 0, 36, 1, 4]
    // Digital, 8 bits a colour; no size; gamma 2.2; RGB, sRGB, the first timing is native.
    bytes += [0xA0, 0, 0, 120, 0x06]
    // sRGB's primaries and white.
    bytes += [0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54]
    // Established: 640x480, 800x600, 1024x768 at 60 Hz.
    bytes += [0x21, 0x08, 0x00]
    // Standard: 1280x1024 (5:4), 1280x800 (16:10), 1920x1080 (16:9), all at 60 Hz; five unused.
    bytes += [0x81, 0x80, 0x81, 0x00, 0xD1, 0xC0] + [UInt8](repeating: 1, count: 10)
    bytes += timing
    bytes += descriptor(0xFC, "Paravane")
    // Ranges: 50 to 125 Hz, 30 to 160 kHz, 160 MHz at most, no formula.
    bytes += [0, 0, 0, 0xFD, 0, 50, 125, 30, 160, 16, 1, 0x0A, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20]
    bytes += [0, 0, 0, 0x10] + [UInt8](repeating: 0, count: 14)
    bytes += [0, 0]
    bytes[127] = 0 &- bytes.reduce(0, &+)
    return bytes
  }()

  /// VESA's 1024 by 768 at 60 Hz: 65 MHz, 0x400 dots and 0x140 of blanking, 0x300 lines and 38, both syncs negative.
  private static let timing: [UInt8] = [
    0x64, 0x19, 0x00, 0x40, 0x41, 0x00, 38, 0x30, 24, 136, 3 << 4 | 6, 0, 0, 0, 0, 0, 0, 0x18,
  ]

  /// A text of up to 13 characters.
  private static func descriptor(_ kind: UInt8, _ text: String) -> [UInt8] {
    var bytes = Array(text.utf8.prefix(12)) + [0x0A]
    while bytes.count < 13 { bytes.append(0x20) }
    return [0, 0, 0, kind, 0] + bytes
  }
}
