/// Offsets of registers (PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, chapter 13).
enum EthernetRegister {
  static let control = 0x0000
  static let status = 0x0008
  static let eepromControl = 0x0010
  static let eepromRead = 0x0014
  static let extendedControl = 0x0018
  static let mdiControl = 0x0020
  static let vlanType = 0x0038
  static let interruptCause = 0x00C0
  static let interruptThrottle = 0x00C4
  static let interruptCauseSet = 0x00C8
  static let interruptMask = 0x00D0
  static let interruptMaskClear = 0x00D8
  static let receiveControl = 0x0100
  static let transmitControl = 0x0400
  static let transmitGap = 0x0410
  static let ledControl = 0x0E00
  static let packetBuffer = 0x1000
  static let receiveBaseLow = 0x2800
  static let receiveBaseHigh = 0x2804
  static let receiveLength = 0x2808
  static let receiveHead = 0x2810
  static let receiveTail = 0x2818
  static let transmitBaseLow = 0x3800
  static let transmitBaseHigh = 0x3804
  static let transmitLength = 0x3808
  static let transmitHead = 0x3810
  static let transmitTail = 0x3818
  static let transmitDelay = 0x3820
  static let statistics = 0x4000
  static let statisticsEnd = 0x4100
  static let receiveChecksum = 0x5000
  static let multicastTable = 0x5200
  static let receiveAddress = 0x5400
  static let vlanTable = 0x5600
  /// Nothing is behind it but test registers.
  static let end = 0x6000

  /// Ranges whose words are storage.
  static let storage: [Range<Int>] = [
    0x0018..<0x001C, 0x0028..<0x0034, 0x0038..<0x003C, 0x00C4..<0x00C8, 0x0100..<0x0104, 0x0170..<0x0174, 0x0178..<0x017C,
    0x0400..<0x0404, 0x0410..<0x0414, 0x0458..<0x045C, 0x0E00..<0x0E04, 0x1000..<0x1004, 0x2160..<0x2164, 0x2168..<0x216C,
    0x2410..<0x2434, 0x2800..<0x2830, 0x2C00..<0x2C04, 0x3410..<0x3434, 0x3800..<0x3834, 0x5000..<0x5004, 0x5200..<0x5480,
    0x5600..<0x5804, 0x5808..<0x580C, 0x5810..<0x5814, 0x5820..<0x5824, 0x5838..<0x5880, 0x5F00..<0x5F68,
  ]
}

/// Bits of the interrupt cause registers.
enum EthernetCause {
  static let descriptorWritten: UInt32 = 1 << 0
  static let transmitQueueEmpty: UInt32 = 1 << 1
  static let linkChange: UInt32 = 1 << 2
  static let receiveThreshold: UInt32 = 1 << 4
  static let receiveOverrun: UInt32 = 1 << 6
  static let receiveTimer: UInt32 = 1 << 7
  static let mdiDone: UInt32 = 1 << 9
  static let all: UInt32 = 0x0001_FFFF
}

/// Registers that count since they were read last.
enum EthernetStatistic {
  static let missed = 0x4010
  static let received64 = 0x405C
  static let goodReceived = 0x4074
  static let broadcastReceived = 0x4078
  static let multicastReceived = 0x407C
  static let goodTransmitted = 0x4080
  static let octetsReceived = 0x4088
  static let octetsTransmitted = 0x4090
  static let noBuffers = 0x40A0
  static let oversized = 0x40AC
  static let totalOctetsReceived = 0x40C0
  static let totalOctetsTransmitted = 0x40C8
  static let totalReceived = 0x40D0
  static let totalTransmitted = 0x40D4
  static let transmitted64 = 0x40D8
  static let multicastTransmitted = 0x40F0
  static let broadcastTransmitted = 0x40F4
  static let segmentationContexts = 0x40F8
  /// Those of 64 bits, low words; reading the high word clears both.
  static let wide = [octetsReceived, octetsTransmitted, totalOctetsReceived, totalOctetsTransmitted]
}
