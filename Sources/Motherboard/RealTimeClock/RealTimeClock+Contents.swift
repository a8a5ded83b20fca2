/// What CMOS RAM holds when the machine is new: where PC firmware looks for memory sizes, the boot order and the rest.
extension RealTimeClock {
  static func contents(_ configuration: Configuration) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 128)
    // Divider for 32768 Hz, 1024 interrupts a second; 24 hours.
    (bytes[Register.a], bytes[Register.b], bytes[Register.d]) = (0x26, Bit.hours24, 0x80)
    func word(_ index: Int, _ value: UInt64, limit: UInt64 = 0xFFFF) {
      let value = min(value, limit)
      bytes[index] = UInt8(truncatingIfNeeded: value)
      bytes[index + 1] = UInt8(truncatingIfNeeded: value >> 8)
    }
    let megabyte: UInt64 = 1 << 20
    let low = configuration.memory.low
    // Equipment: a coprocessor and a mouse; no floppy (byte 10 is 0).
    bytes[0x14] = 0x06
    // KiB below 640 KiB; KiB above 1 MiB, twice; 64 KiB blocks above 16 MiB; the same above 4 GiB.
    word(0x15, min(low >> 10, 640))
    let extended = low > megabyte ? (low - megabyte) >> 10 : 0
    word(0x17, extended, limit: 0xFC00)
    word(0x30, extended, limit: 0xFC00)
    word(0x34, low > 16 * megabyte ? (low - 16 * megabyte) >> 16 : 0)
    let above = min(configuration.memory.high >> 16, 0xFF_FFFF)
    word(0x5B, above & 0xFFFF)
    bytes[0x5D] = UInt8(truncatingIfNeeded: above >> 16)
    let order = configuration.bootOrder.prefix(3).map { $0 & 15 } + [0, 0, 0]
    bytes[0x3D] = order[0] | order[1] << 4
    bytes[0x38] = order[2] << 4
    // Disks are addressed by block number.
    bytes[0x39] = 0x55
    bytes[0x3A] = 0x55
    bytes[0x5F] = UInt8(truncatingIfNeeded: max(1, configuration.processorCount) - 1)
    // The sum of bytes 10 to 2d, high byte first.
    let sum = bytes[0x10...0x2D].reduce(UInt16(0)) { $0 &+ UInt16($1) }
    bytes[0x2E] = UInt8(truncatingIfNeeded: sum >> 8)
    bytes[0x2F] = UInt8(truncatingIfNeeded: sum)
    return bytes
  }
}
