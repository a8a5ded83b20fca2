/// The command block of a drive (AT Attachment with Packet Interface 6, chapter 7), as each drive keeps it.
struct TaskFile: Codable, Equatable {
  /// What was written last is the low byte, what was written before it the high one (48-bit commands use both).
  var features: UInt16 = 0
  var count: UInt16 = 1
  var lbaLow: UInt16 = 1
  var lbaMid: UInt16 = 0
  var lbaHigh: UInt16 = 0
  /// Bit 6 LBA, bit 4 the second drive, bits 3-0 head or LBA bits 27-24.
  var device: UInt8 = 0
  var error: UInt8 = 1
  var status: UInt8 = 0

  /// Shifts a written byte in.
  static func push(_ register: inout UInt16, _ byte: UInt8) { register = register << 8 | UInt16(byte) }

  /// Puts a byte that the drive has to say into the low half.
  static func put(_ register: inout UInt16, _ byte: UInt8) { register = register & 0xFF00 | UInt16(byte) }
}

/// The status register's bits.
enum ATAStatus {
  static let error: UInt8 = 0x01
  static let dataRequest: UInt8 = 0x08
  static let seekComplete: UInt8 = 0x10
  static let ready: UInt8 = 0x40
  static let busy: UInt8 = 0x80

  static let idle = ready | seekComplete
  static let data = ready | seekComplete | dataRequest
  static let working = busy | ready | seekComplete
}

/// The error register's bits.
enum ATAError {
  static let aborted: UInt8 = 0x04
  static let notFound: UInt8 = 0x10
  static let uncorrectable: UInt8 = 0x40
  /// After a reset: the drive tested itself and is well.
  static let diagnosticPassed: UInt8 = 0x01
}

/// The commands that drives here know, by code.
enum ATACommand {
  static let dataSetManagement: UInt8 = 0x06
  static let deviceReset: UInt8 = 0x08
  static let recalibrate: UInt8 = 0x10
  static let readSectors: UInt8 = 0x20
  static let readSectorsOnce: UInt8 = 0x21
  static let readSectorsExt: UInt8 = 0x24
  static let readDMAExt: UInt8 = 0x25
  static let readMultipleExt: UInt8 = 0x29
  static let writeSectors: UInt8 = 0x30
  static let writeSectorsOnce: UInt8 = 0x31
  static let writeSectorsExt: UInt8 = 0x34
  static let writeDMAExt: UInt8 = 0x35
  static let writeMultipleExt: UInt8 = 0x39
  static let verify: UInt8 = 0x40
  static let verifyOnce: UInt8 = 0x41
  static let verifyExt: UInt8 = 0x42
  static let seek: UInt8 = 0x70
  static let executeDiagnostic: UInt8 = 0x90
  static let initializeParameters: UInt8 = 0x91
  static let packet: UInt8 = 0xA0
  static let identifyPacketDevice: UInt8 = 0xA1
  static let readMultiple: UInt8 = 0xC4
  static let writeMultiple: UInt8 = 0xC5
  static let setMultiple: UInt8 = 0xC6
  static let readDMA: UInt8 = 0xC8
  static let readDMAOnce: UInt8 = 0xC9
  static let writeDMA: UInt8 = 0xCA
  static let writeDMAOnce: UInt8 = 0xCB
  static let standbyImmediate: UInt8 = 0xE0
  static let idleImmediate: UInt8 = 0xE1
  static let standby: UInt8 = 0xE2
  static let idle: UInt8 = 0xE3
  static let checkPowerMode: UInt8 = 0xE5
  static let sleep: UInt8 = 0xE6
  static let flushCache: UInt8 = 0xE7
  static let flushCacheExt: UInt8 = 0xEA
  static let identifyDevice: UInt8 = 0xEC
  static let setFeatures: UInt8 = 0xEF
}
