/// The registers, by number: a 16th of the offset in memory, and what is added to 800 for the MSR (tables 11-1 and 11-6).
extension LocalAPIC {
  private enum Register {
    static let identifier: UInt32 = 0x02, version: UInt32 = 0x03, taskPriority: UInt32 = 0x08, arbitration: UInt32 = 0x09
    static let processorPriority: UInt32 = 0x0A, end: UInt32 = 0x0B, remoteRead: UInt32 = 0x0C
    static let logicalDestination: UInt32 = 0x0D, destinationFormat: UInt32 = 0x0E, spurious: UInt32 = 0x0F
    static let inService: UInt32 = 0x10, levels: UInt32 = 0x18, requests: UInt32 = 0x20, errors: UInt32 = 0x28
    static let command: UInt32 = 0x30, commandHigh: UInt32 = 0x31, vectors: UInt32 = 0x32, initialCount: UInt32 = 0x38
    static let currentCount: UInt32 = 0x39, divide: UInt32 = 0x3E, selfInterrupt: UInt32 = 0x3F
  }

  // MARK: - Memory

  public func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    guard offset & 15 < 4 else { return 0 }
    let register = UInt32(truncatingIfNeeded: offset >> 4 & 0xFF)
    let value: UInt32
    switch register {
    case Register.identifier: value = registers.identifier << 24
    case Register.logicalDestination: value = registers.logicalDestination
    case Register.destinationFormat: value = registers.destinationFormat
    case Register.command: value = UInt32(truncatingIfNeeded: registers.command)
    case Register.commandHigh: value = UInt32(truncatingIfNeeded: registers.command >> 32)
    case Register.arbitration, Register.remoteRead, Register.end: value = 0
    default:
      guard let known = read(register) else {
        note(.illegalRegister)
        return 0
      }
      value = known
    }
    return UInt64(value >> (UInt32(offset & 3) * 8))
  }

  public func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    // Anything but an aligned 32-bit store is undefined (11.4.1).
    guard offset & 15 == 0, size >= 4 else { return }
    let word = UInt32(truncatingIfNeeded: value)
    let register = UInt32(truncatingIfNeeded: offset >> 4 & 0xFF)
    switch register {
    case Register.end: endOfInterrupt()
    case Register.identifier: registers.identifier = word >> 24
    case Register.logicalDestination:
      registers.logicalDestination = word & 0xFF00_0000
      acceptanceChanged()
    case Register.destinationFormat:
      registers.destinationFormat = word | 0x0FFF_FFFF
      acceptanceChanged()
    case Register.command:
      registers.command = registers.command & 0xFFFF_FFFF_0000_0000 | UInt64(word & 0xC_CFFF)
      send(destination: UInt32(truncatingIfNeeded: registers.command >> 56))
    case Register.commandHigh: registers.command = registers.command & 0xFFFF_FFFF | UInt64(word) << 32
    case Register.version, Register.processorPriority, Register.currentCount: break
    default: if !write(register, word) { note(.illegalRegister) }
    }
  }

  // MARK: - MSRs

  /// RDMSR of 1B, 800 to 8FF and 6E0; nil for a general-protection fault.
  func readMSR(_ number: UInt32) -> UInt64? {
    switch number {
    case 0x1B: return registers.base
    case 0x6E0: return configuration.hasDeadlineTimer ? deadline : nil
    case 0x800...0x8FF:
      guard isX2APIC else { return nil }
      switch number & 0xFF {
      case Register.identifier: return UInt64(registers.identifier)
      case Register.logicalDestination: return UInt64(logicalX2APIC)
      case Register.command: return registers.command
      case let register: return read(register).map(UInt64.init)
      }
    default: return nil
    }
  }

  /// WRMSR; false for a general-protection fault.
  func writeMSR(_ number: UInt32, _ value: UInt64) -> Bool {
    switch number {
    case 0x1B: return writeBase(value)
    case 0x6E0:
      guard configuration.hasDeadlineTimer else { return false }
      deadline = value
      return true
    case 0x800...0x8FF:
      guard isX2APIC else { return false }
      return writeX2APIC(number & 0xFF, value)
    default: return false
    }
  }

  private func writeX2APIC(_ register: UInt32, _ value: UInt64) -> Bool {
    if register == Register.command {
      guard value & 0xFFF3_3000 == 0 else { return false }
      registers.command = value
      send(destination: UInt32(truncatingIfNeeded: value >> 32))
      return true
    }
    guard value >> 32 == 0 else { return false }
    let word = UInt32(truncatingIfNeeded: value)
    switch register {
    case Register.end:
      guard word == 0 else { return false }
      endOfInterrupt()
      return true
    case Register.errors where word != 0: return false
    case Register.taskPriority where word > 0xFF: return false
    case Register.selfInterrupt:
      guard word <= 0xFF else { return false }
      if word < 16 { note(.sentIllegalVector) } else { accept(UInt8(truncatingIfNeeded: word)) }
      return true
    default: return write(register, word)
    }
  }

  // MARK: - What both have

  private func read(_ register: UInt32) -> UInt32? {
    switch register {
    // Six local vectors, an integrated APIC.
    case Register.version: return 0x0005_0014
    case Register.taskPriority: return UInt32(registers.taskPriority)
    case Register.processorPriority: return UInt32(processorPriority)
    case Register.spurious: return registers.spurious
    case Register.inService..<Register.levels: return registers.inService.word(Int(register & 7))
    case Register.levels..<Register.requests: return registers.levels.word(Int(register & 7))
    case Register.requests..<Register.errors: return registers.requests.word(Int(register & 7))
    case Register.errors: return registers.errors
    case Register.vectors...Register.vectors + 5: return registers.vectors[Int(register - Register.vectors)]
    case Register.initialCount: return registers.timer.initial
    case Register.currentCount: return currentCount
    case Register.divide: return registers.timer.divide
    default: return nil
    }
  }

  /// Whether there is such a register to write.
  private func write(_ register: UInt32, _ word: UInt32) -> Bool {
    switch register {
    case Register.taskPriority: setTaskPriority(UInt8(truncatingIfNeeded: word))
    case Register.spurious: writeSpurious(word)
    case Register.errors: (registers.errors, registers.newErrors) = (registers.newErrors, 0)
    case Register.vectors...Register.vectors + 5: writeVector(Int(register - Register.vectors), word)
    case Register.initialCount: setInitialCount(word)
    case Register.divide: setDivide(word)
    default: return false
    }
    return true
  }

  private func writeSpurious(_ word: UInt32) {
    registers.spurious = word & 0x3FF
    // Switched off by software, every local vector is masked (11.4.7.2).
    if word & 0x100 == 0 { for index in 0..<6 { registers.vectors[index] |= 0x10000 } }
    appoint()
    acceptanceChanged()
    changed()
  }

  private func writeVector(_ index: Int, _ word: UInt32) {
    let writable: UInt32
    switch index {
    case 0: writable = configuration.hasDeadlineTimer ? 0x700FF : 0x300FF
    case 3, 4: writable = 0x1A7FF
    case 5: writable = 0x100FF
    default: writable = 0x107FF
    }
    let entry = word & writable | (registers.spurious & 0x100 == 0 ? 0x10000 : 0)
    if index == 0 { setTimerEntry(entry) } else { registers.vectors[index] = entry }
    changed()
  }

  /// Carries out the interrupt command (11.6.1). Delivery status is never seen: it is sent at once.
  private func send(destination: UInt32) {
    let word = UInt32(truncatingIfNeeded: registers.command)
    let message = InterruptMessage(
      vector: UInt8(truncatingIfNeeded: word), mode: InterruptMessage.Mode(rawValue: UInt8(truncatingIfNeeded: word >> 8 & 7)) ?? .fixed,
      destination: destination, isLogical: word & 0x800 != 0, isLevel: false)
    if message.mode == .fixed || message.mode == .lowestPriority, message.vector < 16 { return note(.sentIllegalVector) }
    // INIT level de-assert is for the bus's arbitration only.
    if message.mode == .initialize, word & 0xC000 == 0x8000 { return }
    switch word >> 18 & 3 {
    case 0: _ = receive(message)
    case 1: accept(message.vector)
    case 2:
      var toAll = message
      (toAll.destination, toAll.isLogical) = (.max, false)
      _ = receive(toAll)
    // All but this one: there is no other.
    default: break
    }
  }
}
