import Foundation
import Random
import Testing

@testable import Storage

/// Damaged and hostile images: found out, mended where it can be, and never a trap.
@Suite struct Qcow2CheckTests {
  /// A small image with something of everything, and its disk.
  private func make(_ path: String, clusterBits: Int = 12, version: Int = 3) throws -> [UInt8] {
    try Qcow2Image.create(path: path, size: 1 << 18, clusterBits: clusterBits, version: version)
    var model = DiskModel(bytes: [UInt8](repeating: 0, count: 1 << 18), numbers: SeededRandom(seed: 31))
    let core = try openCore(path)
    for _ in 0..<40 { try model.step(on: core) }
    try core.close()
    return model.bytes
  }

  private func put(_ value: UInt64, at offset: UInt64, _ path: String) throws {
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.putBigEndian(value, at: 0)
    try ImageFile(path: path, readOnly: false).write(bytes, at: offset)
  }

  private func header(_ path: String) throws -> Qcow2Header { try Qcow2Header(reading: try ImageFile(path: path, readOnly: true)) }

  /// The disk cluster, entry offset and entry of the first cluster with data of its own.
  private func firstData(_ path: String) throws -> (cluster: UInt64, at: UInt64, entry: UInt64) {
    let file = try ImageFile(path: path, readOnly: true)
    let core = try Qcow2Core(file: file, chain: ImageChain())
    for cluster in 0..<core.length >> UInt64(core.geometry.clusterBits) {
      if case .data = try core.mapping(cluster) {
        let index = Int(cluster) >> core.geometry.l2Bits
        let at = (core.l1[index] & Qcow2.offsetMask) + (cluster & UInt64(core.geometry.l2Entries - 1)) * 8
        return (cluster, at, try core.entry(cluster))
      }
    }
    throw StorageError.malformed(path: path, reason: "holds no data")
  }

  @Test func leaksAreFoundAndFreed() throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    let disk = try make(path)
    let end = try ImageInfo(path: path).fileSize >> 12
    let file = try ImageFile(path: path, readOnly: false)
    try file.truncate(to: (end + 3) << 12)
    for cluster in end..<end + 3 { try file.write([0, 1], at: try place(ofCount: cluster, file)) }
    #expect(try Qcow2Checker.run(file: file, repair: .none).leaks == 3)
    let mended = try Qcow2Checker.run(file: file, repair: .leaks)
    #expect(mended.isClean && mended.leaksFixed == 3)
    #expect(try Qcow2Core(file: file, chain: ImageChain()).read(at: 0, count: disk.count) == disk)
  }

  /// Where the entry of the refcount block for a cluster is (counts of 16 bits).
  private func place(ofCount cluster: UInt64, _ file: ImageFile) throws -> UInt64 {
    let header = try Qcow2Header(reading: file)
    let table = decodeTable(try file.read(at: header.tableOffset, count: header.geometry.clusterSize))
    return table[Int(cluster) >> header.geometry.blockBits] + (cluster & UInt64(header.geometry.blockEntries - 1)) * 2
  }

  /// Each damage is found as corruption, also by QEMU, and mended without loss of the disk.
  @Test(arguments: ["count too low", "copied clear", "L1 copied clear", "table lost", "block unaligned", "block outside"]) func mendable(
    _ damage: String
  ) throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    let disk = try make(path)
    let header = try header(path)
    let data = try firstData(path)
    let file = try ImageFile(path: path, readOnly: false)
    switch damage {
    case "count too low": try file.write([0, 0], at: try place(ofCount: (data.entry & Qcow2.offsetMask) >> 12, file))
    case "copied clear": try word(data.entry & ~Qcow2.copied, at: data.at, file)
    case "L1 copied clear": try word(try file.read(at: header.l1Offset, count: 8).be64(0) & ~Qcow2.copied, at: header.l1Offset, file)
    case "table lost": try file.write([UInt8](repeating: 0, count: 4096), at: header.tableOffset)
    case "block unaligned": try word(try file.read(at: header.tableOffset, count: 8).be64(0) + 512, at: header.tableOffset, file)
    default: try word(1 << 40, at: header.tableOffset, file)
    }
    let found = try Qcow2Checker.run(file: file, repair: .none)
    #expect(found.corruptions > 0)
    let mended = try Qcow2Checker.run(file: file, repair: .all)
    #expect(mended.isClean && mended.corruptionsFixed > 0, "\(mended.findings)")
    #expect(try Qcow2Core(file: file, chain: ImageChain()).read(at: 0, count: disk.count) == disk)
  }

  private func word(_ value: UInt64, at offset: UInt64, _ file: ImageFile) throws {
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.putBigEndian(value, at: 0)
    try file.write(bytes, at: offset)
  }

  /// An entry that leads nowhere, or into a table, is an error to read or write through; a repair drops it and nothing else.
  @Test(arguments: ["unaligned", "outside", "L1", "table"]) func lostClusters(_ damage: String) throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    var disk = try make(path)
    let header = try header(path)
    let data = try firstData(path)
    let bad: UInt64 =
      switch damage {
      case "unaligned": (data.entry & Qcow2.offsetMask) + 512
      case "outside": 1 << 44
      case "L1": header.l1Offset
      default: header.tableOffset
      }
    try put(Qcow2.copied | bad, at: data.at, path)
    do {
      let core = try openCore(path)
      #expect(throws: StorageError.self) { try core.write([UInt8](repeating: 1, count: 512), at: data.cluster << 12) }
    }
    let mended = try Qcow2Image.check(path: path, repair: .all)
    #expect(mended.isClean, "\(mended.findings)")
    disk.replaceSubrange(Int(data.cluster) << 12..<Int(data.cluster + 1) << 12, with: [UInt8](repeating: 0, count: 4096))
    #expect(try wholeDisk(path) == disk)
    Qemu.expectClean(path)
  }

  @Test func chainsThatBiteTheirTail() throws {
    let scratch = Scratch()
    for (name, backing) in [("a", "b"), ("b", "c"), ("c", "a")] {
      var parameters = Qcow2Parameters()
      parameters.backing = backing
      parameters.backingFormat = .qcow2
      try Qcow2Core.create(path: scratch.file(name), size: 1 << 20, parameters)
    }
    #expect {
      _ = try openSource(path: scratch.file("a"), format: .qcow2, chain: ImageChain())
    } throws: { "\($0)".contains("its own backing file") }
    #expect(throws: StorageError.self) { _ = try openCore(scratch.file("b")) }
    var parameters = Qcow2Parameters()
    parameters.backing = "nbd:localhost"
    try Qcow2Core.create(path: scratch.file("d"), size: 1 << 20, parameters)
    #expect(throws: StorageError.self) { _ = try Qcow2Image(path: scratch.file("d"), readOnly: true) }
  }

  /// Each line: offset in the header, width in bytes, value.
  @Test(arguments: [
    "0 4 0", "4 4 1", "4 4 4", "20 4 8", "20 4 22", "20 4 4294967295", "24 8 18446744073709551615", "24 8 9223372036854775807", "32 4 1",
    "36 4 0",
    "36 4 4294967295", "36 4 4194305", "40 8 1", "40 8 0", "40 8 18446744073709547520", "48 8 512", "48 8 0", "48 8 9223372036854771712",
    "56 4 0", "56 4 4294967295", "60 4 4294967295", "60 4 1", "72 8 4", "72 8 8", "72 8 16", "72 8 2147483648", "96 4 7", "100 4 4",
    "100 4 4294967295",
    "104 1 1", "8 8 5000", "16 4 4096",
  ]) func hostileHeaders(_ line: String) throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    _ = try make(path)
    let fields = line.split(separator: " ").compactMap { UInt64($0) }
    var bytes = load(path)
    bytes.putBigEndian(UInt64(64), at: 8)
    for index in 0..<Int(fields[1]) {
      bytes[Int(fields[0]) + index] = UInt8(truncatingIfNeeded: fields[2] >> (8 * (fields[1] - 1 - UInt64(index))))
    }
    if fields[0] != 8 && fields[0] != 16 { bytes.putBigEndian(UInt64(0), at: 8) } else { bytes.putBigEndian(UInt32(4096), at: 16) }
    store(bytes, path)
    #expect(throws: StorageError.self) { _ = try openCore(path) }
    _ = try? ImageInfo(path: path)
    _ = try? Qcow2Image.check(path: path, repair: .all)
  }

  @Test func truncatedFiles() throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    _ = try make(path)
    let bytes = load(path)
    for length in [0, 1, 71, 72, 104, 500, 4096, 8192, 12288, 16384, bytes.count / 2, bytes.count - 4096] {
      store(Array(bytes.prefix(length)), path)
      exercise(path)
    }
  }

  /// Opens, reads, writes, checks and repairs, whatever comes of it.
  private func exercise(_ path: String) {
    _ = try? ImageInfo(path: path)
    _ = try? Qcow2Image.check(path: path)
    if let source = try? openSource(path: path, format: .qcow2, chain: ImageChain()) {
      _ = try? source.zeroRun(at: 0, limit: min(source.length, 1 << 24))
      for offset in stride(from: 0, to: min(source.length, 1 << 18), by: 1 << 14) { _ = try? source.read(at: offset, count: 1 << 14) }
    }
    if let core = try? openCore(path) {
      for offset in stride(from: UInt64(0), to: 1 << 18, by: 12_800) where offset + 1024 <= core.length {
        _ = try? core.write([UInt8](repeating: 3, count: 1024), at: offset)
      }
      _ = try? core.writeZeroes(at: 0, count: min(core.length, 1 << 17) / 512 * 512, mayUnmap: true, discarding: false)
      _ = try? core.close()
    }
    _ = try? Qcow2Image.check(path: path, repair: .all)
  }

  /// Images with a few bytes changed, in the tables above all.
  @Test(arguments: [2, 3]) func fuzz(_ version: Int) throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    _ = try make(path, clusterBits: 9, version: version)
    let original = load(path)
    let header = try header(path)
    var numbers = SeededRandom(seed: UInt64(version))
    let tables = [0, 0, Int(header.l1Offset), Int(header.tableOffset)]
    for _ in 0..<120 {
      var bytes = original
      for _ in 0...numbers.below(3) {
        let near = numbers.below(5)
        let at = near < tables.count ? tables[near] + numbers.below(112) : numbers.below(bytes.count)
        switch numbers.below(3) {
        case 0: bytes[at] = UInt8(numbers.below(256))
        case 1: bytes[at] ^= 1 << UInt8(numbers.below(8))
        default:
          bytes.putBigEndian(
            [0, .max, 1 << 63, UInt64(numbers.below(original.count)) & ~511, numbers.next()][numbers.below(5)], at: at & ~7)
        }
      }
      store(bytes, path)
      exercise(path)
    }
  }
}
