/// The VGA's ports (IBM PS/2 Hardware Interface Technical Reference, video subsystem, "Registers").
extension VGA: PortHandler {
  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    if port < 0x200 { return size == 2 ? UInt32(readDispiPort(port)) : .max }
    return UInt32(readRegister(port))
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    if port < 0x200 {
      if size == 2 { writeDispiPort(port, UInt16(truncatingIfNeeded: value)) }
      return
    }
    writeRegister(port, UInt8(truncatingIfNeeded: value))
  }

  /// Whether a port answers: the CRTC and its neighbours are at 3bx or at 3dx.
  private func isHere(_ port: UInt16) -> Bool {
    switch port {
    case 0x3B0...0x3BF: return !registers.isColour
    case 0x3D0...0x3DF: return registers.isColour
    default: return true
    }
  }

  func readRegister(_ port: UInt16) -> UInt8 {
    guard isHere(port) else { return 0xFF }
    switch port {
    case 0x3C0: return registers.attributeIndex
    case 0x3C1:
      let index = Int(registers.attributeIndex & 0x1F)
      return index < registers.attribute.count ? registers.attribute[index] : 0
    // Input status 0: a colour monitor, no vertical interrupt.
    case 0x3C2: return 0x10
    case 0x3C4: return registers.sequencerIndex
    case 0x3C5:
      let index = Int(registers.sequencerIndex)
      return index < registers.sequencer.count ? registers.sequencer[index] : 0
    case 0x3C6: return registers.pixelMask
    case 0x3C7: return registers.paletteIsReading ? 3 : 0
    case 0x3C8: return registers.paletteWriteIndex
    case 0x3C9: return readPalette()
    case 0x3CA: return registers.featureControl
    case 0x3CC: return registers.miscellaneousOutput
    case 0x3CE: return registers.graphicsIndex
    case 0x3CF:
      let index = Int(registers.graphicsIndex)
      return index < registers.graphics.count ? registers.graphics[index] : 0
    case 0x3B4, 0x3D4: return registers.crtcIndex
    case 0x3B5, 0x3D5:
      let index = Int(registers.crtcIndex)
      return index < registers.crtc.count ? registers.crtc[index] : 0
    case 0x3BA, 0x3DA:
      registers.attributeIsData = false
      return inputStatus1
    default: return 0xFF
    }
  }

  func writeRegister(_ port: UInt16, _ value: UInt8) {
    guard isHere(port) else { return }
    switch port {
    case 0x3C0: writeAttribute(value)
    case 0x3C2:
      registers.miscellaneousOutput = value
      updateWindow()
    case 0x3C4: registers.sequencerIndex = value & 7
    case 0x3C5: writeSequencer(value)
    case 0x3C6: registers.pixelMask = value
    case 0x3C7:
      registers.paletteReadIndex = value
      registers.paletteComponent = 0
      registers.paletteIsReading = true
    case 0x3C8:
      registers.paletteWriteIndex = value
      registers.paletteComponent = 0
      registers.paletteIsReading = false
    case 0x3C9: writePalette(value)
    case 0x3CE: registers.graphicsIndex = value & 15
    case 0x3CF: writeGraphics(value)
    case 0x3B4, 0x3D4: registers.crtcIndex = value
    case 0x3B5, 0x3D5: writeCRTC(value)
    case 0x3BA, 0x3DA: registers.featureControl = value & 3
    default: return
    }
    memory.touch()
  }

  private func writeAttribute(_ value: UInt8) {
    defer { registers.attributeIsData.toggle() }
    guard registers.attributeIsData else {
      registers.attributeIndex = value & 0x3F
      return
    }
    let index = Int(registers.attributeIndex & 0x1F)
    switch index {
    // The palette belongs to the display while its address comes from there.
    case 0..<16: if registers.attributeIndex & 0x20 == 0 { registers.attribute[index] = value & 0x3F }
    case 0x10: registers.attribute[index] = value & 0xEF
    case 0x11: registers.attribute[index] = value
    case 0x12: registers.attribute[index] = value & 0x3F
    case 0x13, 0x14: registers.attribute[index] = value & 0x0F
    default: return
    }
  }

  private func writeSequencer(_ value: UInt8) {
    switch registers.sequencerIndex {
    case 0: registers.sequencer[0] = value & 0x03
    case 1: registers.sequencer[1] = value & 0x3F
    case 2: registers.sequencer[2] = value & 0x0F
    case 3: registers.sequencer[3] = value & 0x3F
    case 4: registers.sequencer[4] = value & 0x0E
    default: return
    }
    updateWindow()
  }

  private func writeGraphics(_ value: UInt8) {
    switch registers.graphicsIndex {
    case 0, 1, 2, 6, 7: registers.graphics[Int(registers.graphicsIndex)] = value & 0x0F
    case 3: registers.graphics[3] = value & 0x1F
    case 4: registers.graphics[4] = value & 0x03
    case 5: registers.graphics[5] = value & 0x7B
    case 8: registers.graphics[8] = value
    default: return
    }
    updateWindow()
  }

  private func writeCRTC(_ value: UInt8) {
    let index = Int(registers.crtcIndex)
    guard index < registers.crtc.count else { return }
    // Bit 7 of "vertical retrace end" protects the timing, all but bit 8 of the line compare.
    if registers.crtc[0x11] & 0x80 != 0, index < 8 {
      if index == 7 { registers.crtc[7] = registers.crtc[7] & ~0x10 | value & 0x10 }
      return
    }
    registers.crtc[index] = value
  }

  // MARK: - Palette

  private func readPalette() -> UInt8 {
    let value = registers.palette[Int(registers.paletteReadIndex) * 3 + Int(registers.paletteComponent)]
    if registers.paletteComponent == 2 {
      registers.paletteReadIndex &+= 1
      registers.paletteComponent = 0
    } else {
      registers.paletteComponent += 1
    }
    return value
  }

  /// A colour changes when its third byte comes.
  private func writePalette(_ value: UInt8) {
    let value = registers.dispi[Dispi.enable] & Dispi.palette8Bits != 0 ? value : value & 0x3F
    guard registers.paletteComponent == 2 else {
      registers.paletteHeld[Int(registers.paletteComponent)] = value
      registers.paletteComponent += 1
      return
    }
    let start = Int(registers.paletteWriteIndex) * 3
    registers.palette[start] = registers.paletteHeld[0]
    registers.palette[start + 1] = registers.paletteHeld[1]
    registers.palette[start + 2] = value
    registers.paletteComponent = 0
    registers.paletteWriteIndex &+= 1
  }
}
