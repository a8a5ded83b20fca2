import Compression

/// Remembers what kernels unpack to.
public protocol UnpackedKernels {
  /// What `unpack` gives for `packed`, without calling it if that is known.
  func unpacked(
    _ packed: UnsafeRawBufferPointer, _ format: CompressionFormat, _ unpack: () throws(CompressionError) -> [UInt8]
  ) throws(CompressionError) -> [UInt8]
}

/// A kernel ready to be laid out in a domain: its loadable parts and its notes.
public struct KernelImage: Sendable {
  /// Bytes of `elf` for a run of pseudo-physical memory; what `memorySize` has more than the bytes is zero.
  public struct Part: Sendable, Equatable {
    public var fileOffset: Int
    public var fileSize: Int
    /// Pseudo-physical address.
    public var address: UInt64
    public var memorySize: UInt64
  }

  public let notes: XenNotes
  public let parts: [Part]
  /// The unpacked ELF file.
  public let elf: [UInt8]
  /// First and last-plus-one pseudo-physical address of the parts.
  public let start: UInt64
  public let end: UInt64
  /// How it was packed, outermost first: "bzImage", "XZ", …
  public let packaging: [String]

  /// The most that a kernel may unpack to, bytes.
  public static let largestKernel = 1 << 30

  /// Reads a kernel from a file's bytes: a bzImage, an ELF file, or an ELF file compressed with any known format.
  ///
  /// - Parameter cache: who may know what the packed part unpacks to.
  public static func load(_ bytes: [UInt8], cache: (any UnpackedKernels)? = nil) throws(KernelImageError) -> KernelImage {
    guard !bytes.isEmpty else { throw .empty }
    var packaging: [String] = []
    var elf = bytes
    if isBzImage(bytes) {
      packaging.append("bzImage")
      let payload = try payload(bytes)
      if bytes[payload].starts(with: ElfFile.magic) {
        elf = Array(bytes[payload])
      } else {
        guard let format = CompressionFormat.detect(bytes[payload].prefix(13)) else {
          throw .malformed("the compressed kernel at byte \(payload.lowerBound) is of no known format")
        }
        packaging.append(format.displayName)
        // All but gzip (which ends so by itself) are followed by the unpacked size, which is no part of the stream.
        let end = format == .gzip ? payload.upperBound : max(payload.lowerBound, payload.upperBound - 4)
        let size = bytes.little(UInt32.self, at: payload.upperBound - 4).flatMap { $0 > 0 && $0 <= largestKernel ? Int($0) : nil }
        elf = try unpack(bytes, payload.lowerBound..<end, format, cache, expecting: size)
      }
    } else if !bytes.starts(with: ElfFile.magic) {
      guard let format = CompressionFormat.detect(bytes.prefix(13)) else { throw .foreign(guess(bytes)) }
      packaging.append(format.displayName)
      elf = try unpack(bytes, 0..<bytes.count, format, cache)
      guard elf.starts(with: ElfFile.magic) else {
        throw .foreign("\(guess(elf)), compressed with \(format.displayName)")
      }
    }
    guard elf.starts(with: ElfFile.magic) else { throw .foreign("\(guess(elf)) inside a bzImage") }
    return try KernelImage(ElfFile(elf), packaging: packaging)
  }

  init(_ file: ElfFile, packaging: [String]) throws(KernelImageError) {
    notes = try XenNotes(file)
    var parts: [Part] = []
    var (start, end) = (UInt64.max, UInt64(0))
    for segment in file.segments where segment.type == ElfFile.loadSegment && segment.memorySize > 0 {
      // By physical address: Linux's per-CPU segment has 0 for a virtual one.
      let (address, under) = segment.physicalAddress.subtractingReportingOverflow(notes.physicalOffset)
      let (last, over) = address.addingReportingOverflow(segment.memorySize)
      guard !under, !over, last <= 1 << 40 else {
        throw .malformed("a segment's physical address \(hex(segment.physicalAddress)) is out of range")
      }
      guard segment.memorySize <= UInt64(Self.largestKernel) else {
        throw .malformed("a segment takes \(segment.memorySize) bytes of memory")
      }
      parts.append(
        Part(fileOffset: Int(segment.offset), fileSize: Int(segment.fileSize), address: address, memorySize: segment.memorySize))
      start = min(start, address)
      end = max(end, last)
    }
    guard !parts.isEmpty else { throw .malformed("it has no loadable segment") }
    self.parts = parts
    self.start = start
    self.end = end
    self.packaging = packaging
    elf = file.bytes
    try checkAddresses()
  }

  private func checkAddresses() throws(KernelImageError) {
    let base = notes.virtualBase
    let (top, overflow) = base.addingReportingOverflow(end)
    guard !overflow || top == 0, base & 0xFFF == 0 else {
      throw .malformed("the virtual base \(hex(base)) (note VIRT_BASE) leaves no room for the kernel")
    }
    guard Self.isGuestAddress(base), Self.isGuestAddress(base &+ (end - 1)) else {
      throw .malformed("the virtual base \(hex(base)) (note VIRT_BASE) is not an address that a guest may have")
    }
    guard notes.entry >= base &+ start, notes.entry &- base < end else {
      throw .malformed("the entry point \(hex(notes.entry)) (note ENTRY) lies outside the kernel")
    }
    if let page = notes.hypercallPage {
      guard page & 0xFFF == 0, page >= base &+ start, page &- base < end else {
        throw .malformed("the hypercall page \(hex(page)) (note HYPERCALL_PAGE) is no page of the kernel")
      }
    }
    if let list = notes.initialP2M {
      // 64 GiB hold the list of the largest domain.
      let room: UInt64 = 1 << 36
      guard list & 0xFFF == 0, Self.isGuestAddress(list), Self.isGuestAddress(list &+ room), list &- base >= room, base &- list >= room
      else { throw .malformed("the P2M list's address \(hex(list)) (note INIT_P2M) cannot be used") }
    }
  }

  /// Canonical and outside Xen's hole (level-4 slots 256 to 271).
  static func isGuestAddress(_ address: UInt64) -> Bool {
    address < 0x0000_8000_0000_0000 || address >= 0xFFFF_8800_0000_0000
  }

  // MARK: bzImage (Linux's x86 boot protocol, Documentation/arch/x86/boot.rst)

  private static func isBzImage(_ bytes: [UInt8]) -> Bool {
    bytes.little(UInt16.self, at: 0x1FE) == 0xAA55 && bytes.little(UInt32.self, at: 0x202) == 0x5372_6448
  }

  /// Where the compressed kernel lies in a bzImage.
  private static func payload(_ bytes: [UInt8]) throws(KernelImageError) -> Range<Int> {
    guard let version = bytes.little(UInt16.self, at: 0x206), let offset = bytes.little(UInt32.self, at: 0x248),
      let length = bytes.little(UInt32.self, at: 0x24C)
    else { throw .truncated(what: "the setup header", needed: 0x250, size: bytes.count) }
    guard version >= 0x0208 else {
      throw .unsupported("boot protocol \(version >> 8).\(version & 0xFF), where 2.08 names the place of the compressed kernel")
    }
    let sectors = bytes[0x1F1] == 0 ? 4 : Int(bytes[0x1F1])
    let start = (sectors + 1) * 512 + Int(offset)
    let end = start + Int(length)
    guard length > 4 else { throw .malformed("the setup header names no compressed kernel") }
    guard end <= bytes.count else {
      throw .truncated(what: "the compressed kernel", needed: UInt64(end), size: bytes.count)
    }
    return start..<end
  }

  private static func unpack(
    _ bytes: [UInt8], _ range: Range<Int>, _ format: CompressionFormat, _ cache: (any UnpackedKernels)?, expecting: Int? = nil
  ) throws(KernelImageError) -> [UInt8] {
    let result: Result<[UInt8], CompressionError> = bytes.withUnsafeBytes { all in
      do throws(CompressionError) {
        let packed = UnsafeRawBufferPointer(rebasing: all[range])
        func unpack() throws(CompressionError) -> [UInt8] {
          try decompress(packed, format: format, limit: largestKernel, expecting: expecting)
        }
        guard let cache else { return .success(try unpack()) }
        return .success(try cache.unpacked(packed, format, unpack))
      } catch { return .failure(error) }
    }
    switch result {
    case .success(let unpacked): return unpacked
    case .failure(let error): throw .compressed(error)
    }
  }

  /// A word on what a foreign file is, for the message.
  private static func guess(_ bytes: [UInt8]) -> String {
    func begins(_ text: String) -> Bool { bytes.starts(with: Array(text.utf8)) }
    if begins("MZ") { return "a Windows or EFI program" }
    if begins("QFI\u{FB}") || bytes.starts(with: [0x51, 0x46, 0x49, 0xFB]) { return "a qcow2 disk image" }
    if begins("070701") || begins("070702") { return "a cpio archive (a ramdisk)" }
    if begins("#!") { return "a script" }
    if begins("!<arch>") { return "an archive (a Debian package is one)" }
    if begins("KDMV") { return "a VMDK disk image" }
    if begins("\u{27}\u{05}\u{19}\u{56}") { return "a U-Boot image" }
    if bytes.little(UInt32.self, at: 0x38) == 0x644D_5241 { return "an AArch64 kernel image" }
    if bytes.little(UInt16.self, at: 0x1FE) == 0xAA55 { return "a disk image with a boot sector" }
    if bytes.count > 0x8006, bytes[0x8001..<0x8006].elementsEqual(Array("CD001".utf8)) { return "a CD image" }
    if bytes.prefix(256).allSatisfy({ $0 >= 32 && $0 < 127 || $0 == 10 || $0 == 13 || $0 == 9 }) { return "a text file" }
    return "data of an unknown kind"
  }
}
