import Foundation
import Random
import Testing

@testable import Storage

/// What a test makes an image like.
struct ImageKind: CustomTestStringConvertible, Sendable {
  var version = 3
  var clusterBits = 16
  var refcountOrder = 4
  var compression = Qcow2Compression.zlib
  var lazy = false
  var backing: String?

  var testDescription: String {
    "v\(version) cluster 2^\(clusterBits) refcount 2^\(refcountOrder)" + (compression == .zstd ? " zstd" : "") + (lazy ? " lazy" : "")
      + (backing.map { " over \($0)" } ?? "")
  }

  static let all = [
    ImageKind(version: 2), ImageKind(), ImageKind(compression: .zstd), ImageKind(clusterBits: 9),
    ImageKind(clusterBits: 9, refcountOrder: 6), ImageKind(clusterBits: 12, refcountOrder: 0), ImageKind(clusterBits: 12, refcountOrder: 1),
    ImageKind(clusterBits: 14, refcountOrder: 3, lazy: true), ImageKind(clusterBits: 10, refcountOrder: 2),
    ImageKind(clusterBits: 13, refcountOrder: 5), ImageKind(clusterBits: 21), ImageKind(backing: "raw"),
    ImageKind(version: 2, clusterBits: 12, backing: "raw"), ImageKind(clusterBits: 12, backing: "qcow2"),
    ImageKind(clusterBits: 9, lazy: true),
  ]
}

@Suite struct Qcow2ModelTests {
  /// Random requests against a byte array, with flushes and reopenings; the tools agree with what is left.
  @Test(arguments: ImageKind.all) func randomRequests(_ kind: ImageKind) throws {
    let scratch = Scratch()
    let path = scratch.file("image.qcow2")
    let size = kind.clusterBits == 21 ? 9 << 20 : 1 << 20
    var model = DiskModel(
      bytes: [UInt8](repeating: 0, count: size), numbers: SeededRandom(seed: UInt64(kind.clusterBits * 8 + kind.refcountOrder)))
    if let backing = kind.backing {
      // The backing file is shorter than the disk, and ends within a cluster.
      let base = model.numbers.bytes(size / 2 + 512 * 5)
      model.bytes.replaceSubrange(0..<base.count, with: base)
      store(base, scratch.file("base.raw"))
      if backing == "qcow2" {
        var conversion = ImageConversion(format: .qcow2, compressed: true)
        conversion.clusterBits = 15
        try convertImage(from: scratch.file("base.raw"), sourceFormat: .raw, to: scratch.file("base.qcow2"), conversion)
      }
    }
    try Qcow2Image.create(
      path: path, size: UInt64(size), clusterBits: kind.clusterBits, backing: kind.backing.map { "base.\($0)" },
      backingFormat: kind.backing.flatMap { ImageFormat(rawValue: $0) }, compression: kind.compression, lazyRefcounts: kind.lazy,
      version: kind.version, refcountOrder: kind.refcountOrder)
    Qemu.expectClean(path, "new")
    for _ in 0..<3 {
      let core = try openCore(path)
      for step in 0..<60 {
        try model.step(on: core)
        if step % 23 == 22 { try core.flush() }
      }
      #expect(try core.read(at: 0, count: size) == model.bytes)
      try core.close()
      let report = try Qcow2Checker.run(file: core.file, repair: .none)
      #expect(report.isClean, "\(report.findings)")
    }
    #expect(try wholeDisk(path) == model.bytes)
  }

  @Test(.enabled(if: Qemu.isThere), arguments: ImageKind.all) func judgedByQemu(_ kind: ImageKind) throws {
    let scratch = Scratch()
    let path = scratch.file("image.qcow2")
    let size = kind.clusterBits == 21 ? 9 << 20 : 1 << 20
    var model = DiskModel(bytes: [UInt8](repeating: 0, count: size), numbers: SeededRandom(seed: UInt64(kind.clusterBits + 99)))
    if kind.backing != nil {
      let base = model.numbers.bytes(size / 2 + 512)
      model.bytes.replaceSubrange(0..<base.count, with: base)
      store(base, scratch.file("base.raw"))
      if kind.backing == "qcow2" {
        Qemu.image("convert", "-c", "-f", "raw", "-O", "qcow2", scratch.file("base.raw"), scratch.file("base.qcow2"))
      }
    }
    var options = "compat=\(kind.version == 2 ? "0.10" : "1.1"),cluster_size=\(1 << kind.clusterBits)"
    if kind.version == 3 {
      options +=
        ",refcount_bits=\(1 << kind.refcountOrder),compression_type=\(kind.compression.name),lazy_refcounts=\(kind.lazy ? "on" : "off")"
    }
    var arguments = ["create", "-q", "-f", "qcow2", "-o", options]
    if let backing = kind.backing { arguments += ["-b", "base.\(backing)", "-F", backing] }
    let made = Qemu.run(Qemu.imageTool, arguments + [path, "\(size)"])
    #expect(made.status == 0, "\(made.output)")
    do {
      let core = try openCore(path)
      for step in 0..<120 {
        try model.step(on: core)
        if step % 40 == 39 { try core.flush() }
      }
      try core.close()
    }
    Qemu.expectClean(path)
    #expect(Qemu.contents(path, in: scratch) == model.bytes)
  }
}
