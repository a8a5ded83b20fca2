/// The parts of an ELF64 file that a kernel loader reads (System V ABI, chapters 4 and 5). Every offset in the file is
/// hostile until checked.
struct ElfFile {
  struct Segment {
    var type: UInt32
    var flags: UInt32
    var offset: UInt64
    var virtualAddress: UInt64
    var physicalAddress: UInt64
    var fileSize: UInt64
    var memorySize: UInt64
    var alignment: UInt64
  }

  struct Section {
    var name: String
    var type: UInt32
    var offset: UInt64
    var size: UInt64
    var alignment: UInt64
  }

  static let loadSegment: UInt32 = 1
  static let noteSegment: UInt32 = 4
  static let noteSection: UInt32 = 7
  static let magic: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]

  let bytes: [UInt8]
  let entry: UInt64
  let segments: [Segment]
  let sections: [Section]

  init(_ bytes: [UInt8]) throws(KernelImageError) {
    self.bytes = bytes
    func need(_ end: UInt64, _ what: String) throws(KernelImageError) {
      guard end <= UInt64(bytes.count) else { throw .truncated(what: what, needed: end, size: bytes.count) }
    }
    guard bytes.starts(with: Self.magic) else { throw .malformed("the ELF magic number is missing") }
    try need(20, "the ELF header")
    let machine = bytes.little(UInt16.self, at: 18) ?? 0
    guard bytes[5] == 1 else { throw .notX86_64("a big-endian ELF file") }
    guard bytes[4] == 2 else { throw .notX86_64(machine == 3 ? "a 32-bit x86 (i386) kernel" : "a 32-bit ELF file") }
    guard machine == 62 else { throw .notX86_64("built for another processor (\(Self.machineName(machine)))") }
    try need(64, "the ELF header")
    let kind = bytes.little(UInt16.self, at: 16) ?? 0
    guard kind == 2 || kind == 3 else {
      throw .foreign(kind == 1 ? "an ELF object file or kernel module" : "an ELF file of type \(kind), not an executable")
    }
    entry = bytes.little(UInt64.self, at: 24) ?? 0
    let segmentOffset = bytes.little(UInt64.self, at: 32) ?? 0
    let segmentSize = UInt64(bytes.little(UInt16.self, at: 54) ?? 0)
    let segmentCount = UInt64(bytes.little(UInt16.self, at: 56) ?? 0)
    guard segmentCount > 0 else { throw .malformed("it has no program headers") }
    guard segmentSize >= 56 else { throw .malformed("its program headers are \(segmentSize) bytes long, not 56") }
    let (segmentEnd, overflow) = segmentOffset.addingReportingOverflow(segmentCount * segmentSize)
    guard !overflow else { throw .malformed("its program headers lie at \(hex(segmentOffset))") }
    try need(segmentEnd, "the program header table")
    var segments: [Segment] = []
    for index in 0..<segmentCount {
      let at = Int(segmentOffset + index * segmentSize)
      func word(_ offset: Int) -> UInt64 { bytes.little(UInt64.self, at: at + offset) ?? 0 }
      let segment = Segment(
        type: bytes.little(UInt32.self, at: at) ?? 0, flags: bytes.little(UInt32.self, at: at + 4) ?? 0, offset: word(8),
        virtualAddress: word(16), physicalAddress: word(24), fileSize: word(32), memorySize: word(40), alignment: word(48))
      if segment.type == Self.loadSegment || segment.type == Self.noteSegment {
        let (end, overflow) = segment.offset.addingReportingOverflow(segment.fileSize)
        guard !overflow else { throw .malformed("segment \(index) lies at \(hex(segment.offset)) of the file") }
        try need(end, "segment \(index)")
        guard segment.type == Self.noteSegment || segment.memorySize >= segment.fileSize else {
          throw .malformed("segment \(index) is longer in the file than in memory")
        }
      }
      segments.append(segment)
    }
    self.segments = segments
    sections = Self.readSections(bytes)
  }

  /// Section headers are not needed to run, so a damaged or stripped table is no error: it has no sections.
  private static func readSections(_ bytes: [UInt8]) -> [Section] {
    let table = bytes.little(UInt64.self, at: 40) ?? 0
    let size = UInt64(bytes.little(UInt16.self, at: 58) ?? 0)
    let count = UInt64(bytes.little(UInt16.self, at: 60) ?? 0)
    let names = UInt64(bytes.little(UInt16.self, at: 62) ?? 0)
    let total = UInt64(bytes.count)
    guard table > 0, size >= 64, count > 0, names < count, table <= total, count * size <= total - table else { return [] }
    func header(_ index: UInt64) -> Int { Int(table + index * size) }
    let strings = bytes.little(UInt64.self, at: header(names) + 24) ?? 0
    let stringSize = bytes.little(UInt64.self, at: header(names) + 32) ?? 0
    var sections: [Section] = []
    for index in 0..<count {
      let at = header(index)
      let nameOffset = UInt64(bytes.little(UInt32.self, at: at) ?? 0)
      var name = ""
      if nameOffset < stringSize, strings <= total, nameOffset <= total - strings {
        name = bytes.text(at: Int(strings + nameOffset), limit: 64)
      }
      let section = Section(
        name: name, type: bytes.little(UInt32.self, at: at + 4) ?? 0, offset: bytes.little(UInt64.self, at: at + 24) ?? 0,
        size: bytes.little(UInt64.self, at: at + 32) ?? 0, alignment: bytes.little(UInt64.self, at: at + 48) ?? 0)
      guard section.offset <= total, section.size <= total - section.offset else { continue }
      sections.append(section)
    }
    return sections
  }

  private static func machineName(_ machine: UInt16) -> String {
    switch machine {
    case 3: "i386"
    case 21: "PowerPC64"
    case 40: "ARM"
    case 183: "AArch64"
    case 243: "RISC-V"
    default: "ELF machine \(machine)"
    }
  }
}

/// Lower-case hexadecimal with 0x, as addresses are written.
func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

extension [UInt8] {
  /// A little-endian integer at an offset; nil outside the array.
  func little<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T? {
    guard offset >= 0, offset <= count, count - offset >= MemoryLayout<T>.size else { return nil }
    return withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// Text from an offset up to a NUL or `limit` bytes.
  func text(at offset: Int, limit: Int) -> String {
    guard offset >= 0, offset < count else { return "" }
    let bytes = self[offset..<Swift.min(count, offset + Swift.max(limit, 0))]
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}
