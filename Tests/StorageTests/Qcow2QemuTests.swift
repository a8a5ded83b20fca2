import Foundation
import Random
import Testing

@testable import Storage

/// Images that QEMU's tools made, read and changed here.
@Suite(.enabled(if: Qemu.isThere)) struct Qcow2QemuTests {
  /// Data with holes, repeats and noise.
  private func sample(_ count: Int, seed: UInt64) -> [UInt8] {
    var numbers = SeededRandom(seed: seed)
    var bytes = [UInt8](repeating: 0, count: count)
    for chunk in stride(from: 0, to: count, by: 8192) where chunk + 8192 <= count {
      switch numbers.below(3) {
      case 0: bytes.replaceSubrange(chunk..<chunk + 8192, with: numbers.bytes(8192))
      case 1: bytes.replaceSubrange(chunk..<chunk + 8192, with: [UInt8](repeating: UInt8(numbers.below(256)), count: 8192))
      default: break
      }
    }
    return bytes
  }

  @Test(arguments: [
    "compat=0.10", "compat=1.1,cluster_size=512", "cluster_size=2M", "compression_type=zstd", "refcount_bits=1",
    "refcount_bits=64,cluster_size=4k",
    "preallocation=metadata",
  ]) func readsWhatItWrites(_ options: String) throws {
    let scratch = Scratch()
    let bytes = sample(1 << 20 | 4096, seed: 7)
    store(bytes, scratch.file("in"))
    for compressed in [false, true] where !(compressed && options.contains("preallocation")) {
      let path = scratch.file("out\(compressed)")
      let result = Qemu.run(
        Qemu.imageTool, ["convert", "-f", "raw", "-O", "qcow2", "-o", options] + (compressed ? ["-c"] : []) + [scratch.file("in"), path])
      #expect(result.status == 0, "\(result.output)")
      #expect(try wholeDisk(path) == bytes, "compressed: \(compressed)")
      let report = try Qcow2Image.check(path: path)
      #expect(report.isClean, "\(report.findings)")
      // Overwrite parts of it.
      var model = DiskModel(bytes: bytes, numbers: SeededRandom(seed: 3))
      do {
        let core = try openCore(path)
        for _ in 0..<30 { try model.step(on: core) }
        try core.close()
      }
      Qemu.expectClean(path, options)
      #expect(Qemu.contents(path, in: scratch) == model.bytes)
    }
  }

  @Test func chainOfOverlays() throws {
    let scratch = Scratch()
    Qemu.image("create", "-q", "-f", "raw", scratch.file("a.raw"), "1M")
    Qemu.io(scratch.file("a.raw"), "write -P 1 0 1M")
    Qemu.image("create", "-q", "-f", "qcow2", "-b", "a.raw", "-F", "raw", scratch.file("b.qcow2"), "2M")
    Qemu.io(scratch.file("b.qcow2"), "write -P 2 64k 100k", "write -P 3 1500k 8k")
    Qemu.image("create", "-q", "-f", "qcow2", "-b", scratch.file("b.qcow2"), "-F", "qcow2", scratch.file("c.qcow2"), "3M")
    Qemu.io(scratch.file("c.qcow2"), "write -z 70k 4k", "write -z 128k 64k", "write -P 4 2500k 1k")
    let expected = Qemu.contents(scratch.file("c.qcow2"), in: scratch)
    #expect(try wholeDisk(scratch.file("c.qcow2")) == expected)
    try convertImage(from: scratch.file("c.qcow2"), to: scratch.file("flat"), ImageConversion(format: .raw))
    #expect(load(scratch.file("flat")) == expected)
    // An overlay made here, on top of all.
    try Qcow2Image.create(path: scratch.file("d.qcow2"), size: nil, backing: "c.qcow2", backingFormat: .qcow2)
    Qemu.image("compare", scratch.file("d.qcow2"), scratch.file("c.qcow2"))
    let info = try ImageInfo(path: scratch.file("d.qcow2"))
    #expect(info.virtualSize == 3 << 20 && info.backing == "c.qcow2" && info.backingFormat == "qcow2")
  }

  @Test func snapshotsSurvive() throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    Qemu.image("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "1M")
    var model = DiskModel(bytes: [UInt8](repeating: 0, count: 1 << 20), numbers: SeededRandom(seed: 11))
    var states: [(String, [UInt8])] = []
    for round in 0..<3 {
      do {
        let core = try openCore(path)
        for _ in 0..<60 { try model.step(on: core) }
        try core.close()
      }
      Qemu.expectClean(path)
      Qemu.image("snapshot", "-c", "state\(round)", path)
      states.append(("state\(round)", model.bytes))
      #expect(try Qcow2Image.check(path: path).isClean)
    }
    do {
      let core = try openCore(path)
      for _ in 0..<60 { try model.step(on: core) }
      try core.close()
    }
    #expect(try ImageInfo(path: path).snapshots?.map(\.name) == ["state0", "state1", "state2"])
    for (name, bytes) in states { #expect(Qemu.contents(path, in: scratch, ["-l", name]) == bytes, "\(name)") }
    #expect(Qemu.contents(path, in: scratch) == model.bytes)
    Qemu.image("snapshot", "-d", "state1", path)
    do {
      let core = try openCore(path)
      for _ in 0..<60 { try model.step(on: core) }
      try core.close()
    }
    Qemu.expectClean(path)
    Qemu.image("snapshot", "-a", "state0", path)
    #expect(try wholeDisk(path) == states[0].1)
  }

  @Test func refusals() throws {
    let scratch = Scratch()
    func open(_ name: String) throws { _ = try openSource(path: scratch.file(name), format: .qcow2, chain: ImageChain()) }
    Qemu.image("create", "-q", "-f", "qcow2", "-o", "data_file=\(scratch.file("data")),data_file_raw=on", scratch.file("external"), "1M")
    Qemu.image("create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", scratch.file("extended"), "1M")
    for name in ["external", "extended"] {
      #expect { try open(name) } throws: {
        if case StorageError.unsupported = $0 { true } else { false }
      }
    }
    // Bitmaps: read, checked, not written.
    Qemu.image("create", "-q", "-f", "qcow2", scratch.file("bitmaps"), "1M")
    Qemu.image("bitmap", "--add", scratch.file("bitmaps"), "one")
    try open("bitmaps")
    let report = try Qcow2Image.check(path: scratch.file("bitmaps"))
    #expect(report.isClean, "\(report.findings)")
    #expect(throws: StorageError.self) { _ = try openCore(scratch.file("bitmaps")) }
  }

  /// An image that QEMU left with lazy refcounts unwritten is repaired when it is opened to be written.
  @Test func dirtyImageIsRepaired() throws {
    let scratch = Scratch()
    let path = scratch.file("image")
    Qemu.image("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "4M")
    // The process ends in the middle: the counts are not written.
    Qemu.run(Qemu.ioTool, ["-c", "write -P 5 0 300k", "-c", "flush", "-c", "abort", path])
    #expect(try ImageInfo(path: path).dirty == true)
    do {
      let core = try openCore(path)
      #expect(try core.read(at: 0, count: 300 << 10) == [UInt8](repeating: 5, count: 300 << 10))
      try core.write([UInt8](repeating: 6, count: 512), at: 1 << 20)
      try core.close()
    }
    Qemu.expectClean(path)
    #expect(try ImageInfo(path: path).dirty == false)
  }
}
