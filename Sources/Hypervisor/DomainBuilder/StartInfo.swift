/// start_info, the page that tells a PV guest about itself (xen.h, struct start_info).
struct StartInfo: Equatable {
  static let privileged: UInt32 = 1
  static let initialDomain: UInt32 = 2
  static let moduleStartIsFrame: UInt32 = 8
  static let size = 0x490
  /// Bytes for the command line, its NUL included.
  static let commandLineSize = 1024

  var pages: UInt64 = 0
  /// Machine address.
  var sharedInfo: UInt64 = 0
  var flags: UInt32 = 0
  /// Machine frames.
  var storeFrame: UInt64 = 0
  var storePort: UInt32 = 0
  var consoleFrame: UInt64 = 0
  var consolePort: UInt32 = 0
  /// Virtual address of the level-4 table, and tables of the initial mapping.
  var tableBase: UInt64 = 0
  var tableFrames: UInt64 = 0
  /// Virtual address of the P2M list.
  var p2mList: UInt64 = 0
  /// Virtual address, or pseudo-physical frame with `moduleStartIsFrame`; 0 without a ramdisk.
  var moduleStart: UInt64 = 0
  var moduleLength: UInt64 = 0
  var commandLine: [UInt8] = []
  /// Pseudo-physical frame; 0 if the list is in the initial mapping.
  var firstP2MFrame: UInt64 = 0
  var p2mFrames: UInt64 = 0

  func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
      for index in 0..<MemoryLayout<T>.size { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
    }
    let magic = Array("xen-3.0-x86_64".utf8)
    bytes.replaceSubrange(0..<magic.count, with: magic)
    put(pages, 0x20)
    put(sharedInfo, 0x28)
    put(flags, 0x30)
    put(storeFrame, 0x38)
    put(storePort, 0x40)
    put(consoleFrame, 0x48)
    put(consolePort, 0x50)
    put(tableBase, 0x58)
    put(tableFrames, 0x60)
    put(p2mList, 0x68)
    put(moduleStart, 0x70)
    put(moduleLength, 0x78)
    let line = commandLine.prefix(Self.commandLineSize - 1)
    bytes.replaceSubrange(0x80..<0x80 + line.count, with: line)
    put(firstP2MFrame, 0x480)
    put(p2mFrames, 0x488)
    return bytes
  }
}
