/// The Bochs display interface at ports 1ce and 1cf, and the control registers in memory.
extension VGA {
  func readDispiPort(_ port: UInt16) -> UInt16 { port == 0x1CE ? registers.dispiIndex : readDispi(Int(registers.dispiIndex)) }

  func writeDispiPort(_ port: UInt16, _ value: UInt16) {
    if port == 0x1CE { registers.dispiIndex = value } else { writeDispi(Int(registers.dispiIndex), value) }
  }

  func readDispi(_ index: Int) -> UInt16 {
    if index == Dispi.memory { return UInt16(truncatingIfNeeded: memory.byteCount >> 16) }
    guard index < registers.dispi.count else { return 0 }
    if registers.dispi[Dispi.enable] & Dispi.capabilities != 0 {
      switch index {
      case Dispi.width: return Dispi.largestWidth
      case Dispi.height: return Dispi.largestHeight
      case Dispi.bitsPerPixel: return Dispi.largestDepth
      default: break
      }
    }
    return registers.dispi[index]
  }

  func writeDispi(_ index: Int, _ value: UInt16) {
    switch index {
    case Dispi.id:
      if (Dispi.oldestID...Dispi.latestID).contains(value) { registers.dispi[Dispi.id] = value }
    case Dispi.width, Dispi.height, Dispi.bitsPerPixel, Dispi.virtualWidth, Dispi.offsetX, Dispi.offsetY:
      registers.dispi[index] = value
      fitDispi()
    case Dispi.bank:
      // Banks are 64 KiB of the window: four times as much memory in 16 colours.
      let unit = registers.dispi[Dispi.bitsPerPixel] == 4 ? 18 : 16
      registers.dispi[Dispi.bank] = value & UInt16(truncatingIfNeeded: (memory.byteCount >> unit) - 1)
    case Dispi.enable: writeDispiEnable(value)
    default: return
    }
    updateWindow()
    memory.touch()
  }

  private func writeDispiEnable(_ value: UInt16) {
    let wasEnabled = registers.isDispiEnabled
    registers.dispi[Dispi.enable] = value
    if registers.isDispiEnabled && !wasEnabled {
      registers.dispi[Dispi.virtualWidth] = 0
      registers.dispi[Dispi.offsetX] = 0
      registers.dispi[Dispi.offsetY] = 0
      registers.dispi[Dispi.bank] = 0
      fitDispi()
      if value & Dispi.keepMemory == 0 { memory.clear(0, count: registers.dispiLineBytes * Int(registers.dispi[Dispi.height])) }
    } else if !registers.isDispiEnabled {
      registers.dispi[Dispi.bank] = 0
    }
  }

  /// Makes the mode one that there is: whole characters wide, within memory.
  func fitDispi() {
    guard registers.isDispiEnabled else { return }
    var r = registers.dispi
    if ![4, 8, 15, 16, 24, 32].contains(r[Dispi.bitsPerPixel]) { r[Dispi.bitsPerPixel] = 8 }
    r[Dispi.width] = min(max(r[Dispi.width] & ~7, 8), Dispi.largestWidth)
    r[Dispi.virtualWidth] = min(max(r[Dispi.virtualWidth] & ~7, r[Dispi.width]), Dispi.largestWidth)
    let line = VGARegisters.lineBytes(width: Int(r[Dispi.virtualWidth]), bitsPerPixel: Int(r[Dispi.bitsPerPixel]))
    let lines = UInt16(truncatingIfNeeded: min(memory.byteCount / line, 0xFFFF))
    r[Dispi.height] = min(max(r[Dispi.height], 1), min(Dispi.largestHeight, lines))
    r[Dispi.virtualHeight] = lines
    r[Dispi.offsetX] = min(r[Dispi.offsetX], r[Dispi.virtualWidth] - r[Dispi.width])
    r[Dispi.offsetY] = min(r[Dispi.offsetY], lines - r[Dispi.height])
    registers.dispi = r
  }

  // MARK: - Control registers in memory

  /// 000: EDID; 400: ports 3c0 to 3df; 500: the display interface; 600: size and byte order of what is here.
  func readControl(_ offset: UInt64, size: Int) -> UInt64 {
    if size == 8 { return readControl(offset, size: 4) | readControl(offset &+ 4, size: 4) << 32 }
    var value: UInt64 = 0
    for index in 0..<UInt64(size) { value |= UInt64(controlByte(offset &+ index)) << (index &* 8) }
    return value
  }

  private func controlByte(_ offset: UInt64) -> UInt8 {
    switch offset {
    case 0..<0x100: return offset < 128 ? EDID.block[Int(offset)] : 0
    case 0x400..<0x420: return readRegister(0x3C0 + UInt16(offset - 0x400))
    case 0x500..<0x516: return UInt8(truncatingIfNeeded: readDispi(Int(offset - 0x500) / 2) >> UInt16(offset & 1 &* 8))
    case 0x600: return 8
    case 0x601..<0x604: return 0
    case 0x604..<0x608: return 0x1E
    default: return 0xFF
    }
  }

  func writeControl(_ offset: UInt64, size: Int, value: UInt64) {
    switch offset {
    case 0x400..<0x420:
      for index in 0..<UInt64(size) where offset &+ index < 0x420 {
        writeRegister(0x3C0 + UInt16(offset &+ index - 0x400), UInt8(truncatingIfNeeded: value >> (index &* 8)))
      }
    case 0x500..<0x516 where offset & 1 == 0:
      // Registers of 16 bits: a single byte is none.
      for index in 0..<UInt64(size / 2) where offset &+ index * 2 < 0x516 {
        writeDispi(Int(offset - 0x500) / 2 + Int(index), UInt16(truncatingIfNeeded: value >> (index &* 16)))
      }
    default: return
    }
  }
}

extension VGARegisters {
  static func lineBytes(width: Int, bitsPerPixel: Int) -> Int {
    switch bitsPerPixel {
    case 4: return width / 2
    case 15: return width * 2
    default: return width * (bitsPerPixel / 8)
    }
  }

  /// Bytes of memory from one line to the next in a mode of the display interface.
  var dispiLineBytes: Int { Self.lineBytes(width: Int(dispi[Dispi.virtualWidth]), bitsPerPixel: Int(dispi[Dispi.bitsPerPixel])) }

  /// Where its picture starts, in bytes of memory.
  var dispiStart: Int {
    Int(dispi[Dispi.offsetY]) * dispiLineBytes
      + Self.lineBytes(width: Int(dispi[Dispi.offsetX]), bitsPerPixel: Int(dispi[Dispi.bitsPerPixel]))
  }
}
