/// The registers of the display adapter: IBM's VGA as the PS/2 Hardware Interface Technical Reference (video subsystem) has it, and the
/// Bochs display interface.
public struct VGARegisters: Codable, Equatable {
  public var miscellaneousOutput: UInt8 = 0
  public var featureControl: UInt8 = 0

  public var sequencerIndex: UInt8 = 0
  /// Reset, clocking mode, map mask, character map select, memory mode.
  public var sequencer = [UInt8](repeating: 0, count: 5)

  public var crtcIndex: UInt8 = 0
  public var crtc = [UInt8](repeating: 0, count: 25)

  public var graphicsIndex: UInt8 = 0
  /// Set/reset, enable set/reset, colour compare, rotate and function, read map, mode, miscellaneous, colour don't care, bit mask.
  public var graphics = [UInt8](repeating: 0, count: 9)

  /// Bit 5: the palette's address source is the display.
  public var attributeIndex: UInt8 = 0
  /// Whether the next write to 3c0 is data.
  public var attributeIsData = false
  /// 16 palette registers, mode, overscan, plane enable, panning, colour select.
  public var attribute = [UInt8](repeating: 0, count: 21)

  public var pixelMask: UInt8 = 0xFF
  public var paletteReadIndex: UInt8 = 0
  public var paletteWriteIndex: UInt8 = 0
  /// Which of red, green and blue comes next.
  public var paletteComponent: UInt8 = 0
  public var paletteIsReading = false
  /// Red and green until blue comes.
  public var paletteHeld: [UInt8] = [0, 0]
  /// 256 colours of three bytes, as software wrote them: 6 bits each, or 8 where the display interface says so.
  public var palette = [UInt8](repeating: 0, count: 768)

  /// A byte of each plane, the lowest plane 0.
  public var latches: UInt32 = 0

  public var dispiIndex: UInt16 = 0
  /// By `Dispi`'s numbers.
  public var dispi = [UInt16](repeating: 0, count: 10)

  public init() { dispi[Dispi.id] = Dispi.latestID }
}

/// The Bochs display interface: registers behind ports 1ce (index) and 1cf (data), 16 bits each.
public enum Dispi {
  public static let id = 0
  public static let width = 1
  public static let height = 2
  public static let bitsPerPixel = 3
  public static let enable = 4
  public static let bank = 5
  public static let virtualWidth = 6
  public static let virtualHeight = 7
  public static let offsetX = 8
  public static let offsetY = 9
  /// Read-only: memory in units of 64 KiB.
  public static let memory = 10

  static let oldestID: UInt16 = 0xB0C0
  static let latestID: UInt16 = 0xB0C5
  static let enabled: UInt16 = 1
  /// Width, height and depth read as the largest there are.
  static let capabilities: UInt16 = 2
  static let palette8Bits: UInt16 = 0x20
  static let keepMemory: UInt16 = 0x80

  static let largestWidth: UInt16 = 16000
  static let largestHeight: UInt16 = 12000
  static let largestDepth: UInt16 = 32
}

extension VGARegisters {
  var isDispiEnabled: Bool { dispi[Dispi.enable] & Dispi.enabled != 0 }

  /// The CRTC's registers are at 3d4; else, for a monochrome monitor, at 3b4.
  var isColour: Bool { miscellaneousOutput & 1 != 0 }

  var isGraphics: Bool { graphics[6] & 1 != 0 }

  /// Scan lines less one that the CRTC displays.
  var verticalDisplayEnd: Int { Int(crtc[0x12]) | Int(crtc[7] & 2) << 7 | Int(crtc[7] & 0x40) << 3 }
  /// The scan line after which the screen starts again at address 0.
  var lineCompare: Int { Int(crtc[0x18]) | Int(crtc[7] & 0x10) << 4 | Int(crtc[9] & 0x40) << 3 }
  var startAddress: Int { Int(crtc[0x0C]) << 8 | Int(crtc[0x0D]) }
  var cursorAddress: Int { Int(crtc[0x0E]) << 8 | Int(crtc[0x0F]) }
  var dotsPerCharacter: Int { sequencer[1] & 1 != 0 ? 8 : 9 }
}
