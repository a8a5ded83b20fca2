/// What firmware and operating system are told of the machine.
public struct PlatformDescription: Sendable {
  public struct SerialPort: Sendable, Equatable {
    public var port: UInt16
    public var request: UInt8
    public init(port: UInt16, request: UInt8) {
      self.port = port
      self.request = request
    }
    public static let com1 = SerialPort(port: 0x3F8, request: 4)
    public static let com2 = SerialPort(port: 0x2F8, request: 3)
  }

  public var memory: MemoryMap
  /// 1 to 254, with local APIC identifiers from 0 up.
  public var processors: Int
  public var serialPorts: [SerialPort]
  public var hasKeyboardController: Bool
  public var hasHPET: Bool

  public init(
    memory: MemoryMap, processors: Int = 1, serialPorts: [SerialPort] = [.com1], hasKeyboardController: Bool = true, hasHPET: Bool = true
  ) {
    self.memory = memory
    self.processors = max(1, min(processors, 254))
    self.serialPorts = serialPorts
    self.hasKeyboardController = hasKeyboardController
    self.hasHPET = hasHPET
  }

  /// How SeaBIOS leads PCI's links A to D: to requests 10 and 11.
  static let linkRequests: [UInt32] = [10, 10, 11, 11]
  /// Where SeaBIOS puts the power management function's ports.
  static let powerBase: UInt32 = 0x600
  static let systemControlInterrupt: UInt16 = 9
}
