import Compression

@testable import Hypervisor

/// Kernels made in memory for the loader's tests.
enum SampleKernel {
  struct Segment {
    var address: UInt64
    var bytes: [UInt8]
    var memorySize: UInt64?
    var virtualAddress: UInt64?
  }

  static let virtualBase: UInt64 = 0xFFFF_FFFF_8000_0000

  static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
  }

  static func note(_ type: UInt32, _ value: [UInt8], name: String = "Xen") -> [UInt8] {
    let name = Array(name.utf8) + [0]
    var bytes = little(UInt32(name.count)) + little(UInt32(value.count)) + little(type) + name
    while bytes.count & 3 != 0 { bytes.append(0) }
    bytes += value
    while bytes.count & 3 != 0 { bytes.append(0) }
    return bytes
  }

  static func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }

  /// The notes of Debian's kernels, entry and hypercall page apart.
  static func notes(entry: UInt64, linux: Bool = true, hypercallPage: UInt64? = nil) -> [UInt8] {
    var all = note(6, text("linux")) + note(7, text("2.6")) + note(5, text("xen-3.0")) + note(3, little(virtualBase))
    all += note(1, little(entry)) + note(9, text("yes")) + note(8, text("generic")) + note(4, little(UInt64(0)))
    all += note(10, Array("!writable_page_tables|pae_pgdir_above_4gb".utf8)) + note(17, little(UInt32(0x8801)))
    all += note(13, little(UInt64(1)) + little(UInt64(1))) + note(14, little(UInt32(1)))
    all += note(12, little(UInt64(0xFFFF_8000_0000_0000)))
    if linux { all += note(15, little(UInt64(0x80_0000_0000))) + note(16, little(UInt32(1))) }
    if let hypercallPage { all += note(2, little(hypercallPage)) }
    return all
  }

  /// An ELF64 file with the segments, a PT_NOTE segment, and sections for `sections` (name, type, bytes).
  static func elf(
    _ segments: [Segment], notes: [UInt8]?, sections: [(name: String, type: UInt32, bytes: [UInt8])] = [], machine: UInt16 = 62,
    wide: UInt8 = 2, type: UInt16 = 2, entry: UInt64 = 0x100000
  ) -> [UInt8] {
    let count = segments.count + (notes == nil ? 0 : 1)
    var headers: [UInt8] = []
    var body: [UInt8] = []
    let start = 64 + 56 * count
    func header(_ type: UInt32, _ virtual: UInt64, _ physical: UInt64, _ bytes: [UInt8], _ memory: UInt64) {
      headers += little(type) + little(UInt32(7)) + little(UInt64(start + body.count)) + little(virtual) + little(physical)
      headers += little(UInt64(bytes.count)) + little(memory) + little(UInt64(4))
      body += bytes
    }
    for segment in segments {
      header(
        1, segment.virtualAddress ?? (virtualBase &+ segment.address), segment.address, segment.bytes,
        segment.memorySize ?? UInt64(segment.bytes.count))
    }
    if let notes { header(4, 0, 0, notes, UInt64(notes.count)) }
    var sectionHeaders = [UInt8](repeating: 0, count: 64)
    var names: [UInt8] = [0]
    func section(_ name: String, _ type: UInt32, _ bytes: [UInt8]) {
      sectionHeaders += little(UInt32(names.count)) + little(type) + [UInt8](repeating: 0, count: 16)
      sectionHeaders += little(UInt64(start + body.count)) + little(UInt64(bytes.count)) + [UInt8](repeating: 0, count: 24)
      names += text(name)
      body += bytes
    }
    for one in sections { section(one.name, one.type, one.bytes) }
    // The names' own section is last, and its bytes are complete only now.
    section(".shstrtab", 3, names + text(".shstrtab"))
    let sectionCount = sections.count + 2
    var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, wide, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    file += little(type) + little(machine) + little(UInt32(1)) + little(entry) + little(UInt64(64))
    file += little(UInt64(start + body.count)) + little(UInt32(0)) + little(UInt16(64)) + little(UInt16(56))
    file += little(UInt16(count)) + little(UInt16(64)) + little(UInt16(sectionCount)) + little(UInt16(sectionCount - 1))
    return file + headers + body + sectionHeaders
  }

  /// A kernel of three pages at 1 MiB with a zeroed tail of two more, entry 0x100010.
  static func small(linux: Bool = true, hypercallPage: Bool = false) -> [UInt8] {
    let code = (0..<12288).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    let base = virtualBase
    return elf(
      [Segment(address: 0x100000, bytes: code, memorySize: 20480)],
      notes: notes(entry: base + 0x100010, linux: linux, hypercallPage: hypercallPage ? base + 0x101000 : nil))
  }

  /// Wraps a payload as Linux's build does: setup header, payload.
  static func bzImage(payload: [UInt8], version: UInt16 = 0x020F, sectors: UInt8 = 3) -> [UInt8] {
    var image = [UInt8](repeating: 0, count: (Int(sectors == 0 ? 4 : sectors) + 1) * 512 + 0x2CC)
    image[0x1F1] = sectors
    image.replaceSubrange(0x1FE..<0x200, with: [0x55, 0xAA])
    image.replaceSubrange(0x202..<0x206, with: Array("HdrS".utf8))
    image.replaceSubrange(0x206..<0x208, with: little(version))
    image.replaceSubrange(0x248..<0x24C, with: little(UInt32(0x2CC)))
    image.replaceSubrange(0x24C..<0x250, with: little(UInt32(payload.count)))
    return image + payload + [UInt8](repeating: 0, count: 100)
  }

  /// A gzip member of one deflate stream; bzImage payloads end with it as it is.
  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    let crc = bytes.withUnsafeBytes { crc32Checksum($0) }
    let deflated = (try? deflateRaw(bytes, windowBits: 15)) ?? []
    return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + deflated + little(crc) + little(UInt32(bytes.count))
  }

  /// A zstd frame followed by the unpacked size, as Linux appends it.
  static func zstd(_ bytes: [UInt8]) -> [UInt8] { ((try? zstdCompress(bytes)) ?? []) + little(UInt32(bytes.count)) }

  /// LZ4's legacy frame with literals only, followed by the unpacked size.
  static func lz4Legacy(_ bytes: [UInt8]) -> [UInt8] {
    var block: [UInt8] = [0xF0]
    var left = bytes.count - 15
    while left >= 255 {
      block.append(255)
      left -= 255
    }
    block += [UInt8(left)] + bytes
    return [2, 0x21, 0x4C, 0x18] + little(UInt32(block.count)) + block + little(UInt32(bytes.count))
  }
}
