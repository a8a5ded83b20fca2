import Foundation
import Random
import Testing

@testable import Storage

@Suite struct Qcow2DeviceTests {
  private func pattern(_ value: UInt8, _ count: Int) -> [UInt8] { [UInt8](repeating: value, count: count) }

  @Test func requestsTakeEffectInOrder() throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    try Qcow2Image.create(path: path, size: 1 << 20)
    let image = try openImage(path: path, format: "qcow2", readOnly: false)
    #expect(image.sizeInBytes == 1 << 20 && image.sectorSize == 512 && !image.isReadOnly && image.supportsDiscard)
    image.submit(.write(offset: 512, data: pattern(1, 1024))) { _ in }
    image.submit(.write(offset: 1024, data: pattern(2, 512))) { _ in }
    #expect(image.perform(.read(offset: 0, count: 2048)) == .success(pattern(0, 512) + pattern(1, 512) + pattern(2, 512) + pattern(0, 512)))
    #expect(image.perform(.flush) == .success([]))
    #expect(image.perform(.read(offset: 1 << 20, count: 512)) == .failure(.outOfRange))
    #expect(image.perform(.read(offset: 1, count: 512)) == .failure(.outOfRange))
    #expect(image.perform(.write(offset: .max - 511, data: pattern(0, 1024))) == .failure(.outOfRange))
    #expect(image.perform(.discard(offset: 0, count: .max - 511)) == .failure(.outOfRange))
    #expect(image.perform(.discard(offset: 0, count: 1 << 20)) == .success([]))
    #expect(image.perform(.read(offset: 512, count: 512)) == .success(pattern(0, 512)))
  }

  @Test func readOnlyAndLocked() throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    try Qcow2Image.create(path: path, size: 1 << 20)
    do {
      let one = try Qcow2Image(path: path, readOnly: true)
      let two = try Qcow2Image(path: path, readOnly: true)
      #expect(one.perform(.write(offset: 0, data: pattern(0, 512))) == .failure(.readOnly))
      #expect(throws: StorageError.locked(path: path)) { _ = try Qcow2Image(path: path, readOnly: false) }
      // Looking at it is possible all the same.
      #expect(try ImageInfo(path: path).format == "qcow2")
      try two.close()
    }
    #expect(throws: StorageError.self) { _ = try openImage(path: path, format: "vhd", readOnly: true) }
    #expect(throws: StorageError.self) { _ = try openImage(path: scratch.file("none"), format: "qcow2", readOnly: true) }
  }

  /// What was written is in the file after `close`, and later requests fail.
  @Test func closing() throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    try Qcow2Image.create(path: path, size: 1 << 20, lazyRefcounts: true)
    let image = try Qcow2Image(path: path, readOnly: false)
    #expect(image.perform(.write(offset: 0, data: pattern(7, 512))) == .success([]))
    try image.close()
    #expect(image.perform(.read(offset: 0, count: 512)) == .failure(.host(EBADF)))
    #expect(try wholeDisk(path) == pattern(7, 512) + pattern(0, (1 << 20) - 512))
    #expect(try ImageInfo(path: path).dirty == false)
  }

  /// An overlay goes over a running image: writes under way are seen, the base is written no more.
  @Test(arguments: ["raw", "qcow2"]) func overlayOverRunningImage(_ format: String) throws {
    let scratch = Scratch()
    let (base, overlay) = (scratch.file("base"), scratch.file("overlay"))
    if format == "raw" { store(pattern(1, 1 << 20), base) } else { try Qcow2Image.create(path: base, size: 1 << 20) }
    var images: [any BlockDevice] = [try openImage(path: base, format: format, readOnly: false)]
    for index in 0..<16 { images[0].submit(.write(offset: UInt64(index) << 16, data: pattern(UInt8(index + 10), 1 << 16))) { _ in } }
    images.append(
      try Qcow2Image.stack(path: overlay, over: images[0], basePath: "base", baseFormat: try #require(ImageFormat(rawValue: format))))
    let top = images[1]
    #expect(top.sizeInBytes == 1 << 20)
    #expect(top.perform(.write(offset: 3 << 16 | 512, data: pattern(99, 512))) == .success([]))
    var expected: [UInt8] = []
    for index in 0..<16 { expected += pattern(UInt8(index + 10), 1 << 16) }
    let before = expected
    expected.replaceSubrange(3 << 16 | 512..<3 << 16 | 1024, with: pattern(99, 512))
    #expect(top.perform(.read(offset: 0, count: 1 << 20)) == .success(expected))
    #expect(top.perform(.flush) == .success([]))
    #expect(images[0].perform(.read(offset: 0, count: 1 << 20)) == .success(before))
    try top.close()
    try images[0].close()
    #expect(images[0].perform(.read(offset: 0, count: 512)) == .failure(.host(EBADF)))
    images = []
    // Opened the ordinary way, it reads the same.
    #expect(try openSource(path: overlay, format: .qcow2, chain: ImageChain(locking: false)).read(at: 0, count: 1 << 20) == expected)
    Qemu.expectClean(overlay)
  }

  @Test func discardGivesSpaceBack() throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    try Qcow2Image.create(path: path, size: 8 << 20)
    let image = try Qcow2Image(path: path, readOnly: false)
    #expect(image.perform(.write(offset: 0, data: pattern(5, 8 << 20))) == .success([]))
    #expect(image.perform(.flush) == .success([]))
    let full = try ImageInfo(path: path)
    #expect(image.perform(.discard(offset: 1 << 20, count: 6 << 20)) == .success([]))
    #expect(image.perform(.flush) == .success([]))
    // What was freed is used again: the file does not grow.
    #expect(image.perform(.write(offset: 2 << 20, data: pattern(6, 4 << 20))) == .success([]))
    try image.close()
    #expect(try ImageInfo(path: path).fileSize <= full.fileSize + (1 << 20))
    #expect(try Qcow2Image.check(path: path).isClean)
  }

  /// Commit after commit, tables move to and fro: the file stays small.
  @Test(arguments: [9, 12, 16]) func fileDoesNotGrow(_ clusterBits: Int) throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    try Qcow2Image.create(path: path, size: 1 << 20, clusterBits: clusterBits)
    do {
      let core = try openCore(path)
      for round in 0..<100 {
        try core.write(pattern(UInt8(round), 512), at: UInt64(round * 512))
        try core.flush()
        try core.writeZeroes(at: 0, count: 1 << 20, mayUnmap: true, discarding: true)
        try core.flush()
      }
      try core.close()
    }
    let size = try ImageInfo(path: path).fileSize
    #expect(size <= 40 << UInt64(clusterBits), "\(size)")
    Qemu.expectClean(path)
  }

  @Test func noSpaceLeft() throws {
    guard let full = try? ImageFile(path: "/dev/full", readOnly: false, locking: false) else { return }
    #expect(throws: StorageError.host(path: "/dev/full", errno: ENOSPC)) { try full.write([1], at: 0) }
  }
}

@Suite struct ConversionTests {
  private func sample() -> [UInt8] {
    var numbers = SeededRandom(seed: 21)
    var bytes = [UInt8](repeating: 0, count: (2 << 20) + 1536)
    bytes.replaceSubrange(70_000..<150_000, with: numbers.bytes(80_000))
    bytes.replaceSubrange(400_000..<700_000, with: [UInt8](repeating: 0x41, count: 300_000))
    bytes.replaceSubrange((2 << 20)..<(2 << 20) + 1536, with: numbers.bytes(1536))
    return bytes
  }

  @Test(arguments: [9, 12, 16, 20], [Qcow2Compression.zlib, .zstd]) func roundTrip(_ clusterBits: Int, _ compression: Qcow2Compression)
    throws
  {
    let scratch = Scratch()
    let bytes = sample()
    store(bytes, scratch.file("raw"))
    var sizes: [UInt64] = []
    for compressed in [false, true] {
      var conversion = ImageConversion(format: .qcow2, compressed: compressed)
      conversion.clusterBits = clusterBits
      conversion.compression = compression
      let path = scratch.file("out\(compressed)")
      try convertImage(from: scratch.file("raw"), sourceFormat: .raw, to: path, conversion)
      let report = try Qcow2Image.check(path: path)
      #expect(report.isClean, "\(report.findings)")
      #expect(compressed == (report.compressedClusters > 0))
      Qemu.expectClean(path)
      try convertImage(from: path, to: scratch.file("back"), ImageConversion())
      #expect(load(scratch.file("back")) == bytes)
      if Qemu.isThere { Qemu.image("compare", "-f", "raw", "-F", "qcow2", scratch.file("raw"), path) }
      sizes.append(try ImageInfo(path: path).fileSize)
    }
    #expect(sizes[1] < sizes[0])
    // Sparse all the way: less than a quarter of the disk holds data.
    #expect(try ImageInfo(path: scratch.file("back")).allocatedSize < 600_000)
  }

  @Test func refusesToOverwriteItsSource() throws {
    let scratch = Scratch()
    store(sample(), scratch.file("raw"))
    try Qcow2Image.create(path: scratch.file("top"), size: nil, backing: "raw", backingFormat: .raw)
    for source in ["raw", "top"] {
      #expect(throws: StorageError.self) { try convertImage(from: scratch.file(source), to: scratch.file("raw"), ImageConversion()) }
    }
    #expect(load(scratch.file("raw")) == sample())
  }
}
