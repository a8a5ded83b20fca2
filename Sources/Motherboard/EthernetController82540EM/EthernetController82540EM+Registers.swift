extension EthernetController82540EM {
  /// - Parameter register: a multiple of 4 below 0x20000.
  func read(_ register: Int) -> UInt32 {
    switch register {
    case EthernetRegister.control: return self[EthernetRegister.control]
    // Full duplex at 1000 Mb/s; bit 1 is the link.
    case EthernetRegister.status: return phy.isLinkUp ? 0x8008_0783 : 0x8008_0781
    case EthernetRegister.eepromControl: return eeprom.register
    case EthernetRegister.eepromRead: return eepromRead
    case EthernetRegister.mdiControl: return mdiControl
    case EthernetRegister.interruptCause:
      let value = cause
      cause = 0
      updateInterrupt()
      return value
    case EthernetRegister.interruptMask: return mask
    case EthernetRegister.statistics..<EthernetRegister.statisticsEnd: return readStatistic(register)
    default: return isStorage(register) ? self[register] : 0
    }
  }

  func write(_ register: Int, _ value: UInt32) {
    switch register {
    case EthernetRegister.control, EthernetRegister.control + 4: writeControl(value)
    case EthernetRegister.eepromControl: eeprom.drive(value, words: eepromWords)
    case EthernetRegister.eepromRead:
      guard value & 1 != 0 else { return }
      // Done (bit 4) at once.
      eepromRead = UInt32(eepromWords[Int(value >> 8 & 0x3F)]) << 16 | value & 0xFF00 | 0x10
    case EthernetRegister.mdiControl: writeMDI(value)
    case EthernetRegister.interruptCause:
      cause &= ~value
      updateInterrupt()
    case EthernetRegister.interruptCauseSet: raise(value & EthernetCause.all)
    case EthernetRegister.interruptMask:
      mask |= value & EthernetCause.all
      updateInterrupt()
    case EthernetRegister.interruptMaskClear:
      mask &= ~value
      updateInterrupt()
    case EthernetRegister.receiveControl:
      self[register] = value & 0x07FF_FFFE
      serviceReceive()
    case EthernetRegister.receiveTail:
      self[register] = value & 0xFFFF
      serviceReceive()
    case EthernetRegister.transmitTail:
      self[register] = value & 0xFFFF
      serviceTransmit()
    case EthernetRegister.transmitControl:
      self[register] = value & 0x03FF_FFFA
      serviceTransmit()
    case EthernetRegister.receiveBaseLow, EthernetRegister.transmitBaseLow: self[register] = value & ~15
    case EthernetRegister.receiveLength, EthernetRegister.transmitLength: self[register] = value & 0xFFF80
    case EthernetRegister.receiveHead, EthernetRegister.transmitHead: self[register] = value & 0xFFFF
    case EthernetRegister.statistics..<EthernetRegister.statisticsEnd: break
    default: if isStorage(register) { self[register] = value }
    }
  }

  private func isStorage(_ register: Int) -> Bool {
    // The commonest first: addresses, tables, rings.
    if register >= 0x5200 && register < 0x5800 { return register < 0x5480 || register >= 0x5600 }
    return EthernetRegister.storage.contains { $0.contains(register) }
  }

  private func writeControl(_ value: UInt32) {
    if value & 1 << 26 != 0 { return resetController() }
    self[EthernetRegister.control] = value & 0x7BFF_FFFF
    if value >> 31 != 0 {
      phy.reset()
      negotiate()
    }
  }

  /// An access to the transceiver: data, register (bits 16-20), transceiver (21-25), 1 write or 2 read (26, 27); done at once (28).
  private func writeMDI(_ value: UInt32) {
    let number = Int(value >> 16 & 31)
    var result = value & 0x2FFF_FFFF | 1 << 28
    if value >> 21 & 31 != 1 {
      result |= 1 << 30
    } else if value >> 26 & 3 == 1 {
      if phy.write(number, UInt16(truncatingIfNeeded: value)) { negotiate() }
    } else if value >> 26 & 3 == 2 {
      result = result & 0xFFFF_0000 | UInt32(phy.read(number))
    }
    mdiControl = result
    if value & 1 << 29 != 0 { raise(EthernetCause.mdiDone) }
  }

  // MARK: - Statistics

  private func readStatistic(_ register: Int) -> UInt32 {
    let value = self[register]
    if EthernetStatistic.wide.contains(register) { return value }
    self[register] = 0
    if EthernetStatistic.wide.contains(register - 4) { self[register - 4] = 0 }
    return value
  }

  /// Counts; a full counter stays full.
  func count(_ statistic: Int, _ amount: UInt32 = 1) {
    let (sum, overflow) = self[statistic].addingReportingOverflow(amount)
    self[statistic] = overflow ? .max : sum
  }

  func countOctets(_ statistic: Int, _ amount: Int) {
    let value = UInt64(self[statistic + 4]) << 32 | UInt64(self[statistic])
    let sum = value &+ UInt64(truncatingIfNeeded: amount)
    self[statistic] = UInt32(truncatingIfNeeded: sum)
    self[statistic + 4] = UInt32(truncatingIfNeeded: sum >> 32)
  }

  /// Counts a frame by its size, from 64 bytes on by powers of two (the frame check sequence counts).
  func countSize(_ first: Int, _ size: Int) {
    let sizes = [64, 127, 255, 511, 1023]
    count(first + (sizes.firstIndex { size <= $0 } ?? 5) * 4)
  }
}
