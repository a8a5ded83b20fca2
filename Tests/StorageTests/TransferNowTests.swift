import Foundation
import Random
import Testing

@testable import Storage

/// Transfers on the caller's thread: they see what was submitted, and what is submitted later sees them.
@Suite struct TransferNowTests {
  /// Random requests in both ways, against a byte array; what is left is in the file.
  @Test(arguments: ["raw", "qcow2", "overlay"]) func mixedWithSubmittedRequests(_ kind: String) throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    let size = 2 << 20
    var numbers = SeededRandom(seed: UInt64(kind.utf8.count))
    var model = [UInt8](repeating: 0, count: size)
    switch kind {
    case "raw": store(model, path)
    case "overlay":
      model.replaceSubrange(0..<size / 2, with: numbers.bytes(size / 2))
      store(model, scratch.file("base"))
      try Qcow2Image.create(path: path, size: nil, clusterBits: 12, backing: scratch.file("base"), backingFormat: .raw)
    default: try Qcow2Image.create(path: path, size: UInt64(size))
    }
    let image = try openImage(path: path, format: kind == "raw" ? "raw" : "qcow2", readOnly: false)
    var atOnce = 0
    for step in 0..<600 {
      let count = (numbers.below(64) + 1) * 512
      let offset = numbers.below((size - count) / 512 + 1) * 512
      let range = offset..<offset + count
      switch numbers.below(8) {
      case 0:
        let bytes = numbers.bytes(count)
        model.replaceSubrange(range, with: bytes)
        // Not waited for: what follows must see it all the same.
        image.submit(.write(offset: UInt64(offset), data: bytes)) { _ in }
      case 1...3:
        var bytes = numbers.bytes(count)
        if transfer(.write, image, offset, &bytes, &numbers) {
          atOnce += 1
        } else {
          #expect(image.perform(.write(offset: UInt64(offset), data: bytes)) == .success([]))
        }
        model.replaceSubrange(range, with: bytes)
      case 4...6:
        var bytes = [UInt8](repeating: 0xEE, count: count)
        if transfer(.read, image, offset, &bytes, &numbers) {
          atOnce += 1
          #expect(bytes == Array(model[range]), "step \(step)")
        } else {
          #expect(image.perform(.read(offset: UInt64(offset), count: count)) == .success(Array(model[range])), "step \(step)")
        }
      default: #expect(image.perform(.flush) == .success([]))
      }
    }
    #expect(atOnce > 0)
    try image.close()
    #expect(kind == "raw" ? load(path) == model : try wholeDisk(path) == model)
    if kind != "raw" { Qemu.expectClean(path, kind) }
    // Closed: nothing is done at once any more.
    var bytes = [UInt8](repeating: 0, count: 512)
    #expect(!transfer(.read, image, 0, &bytes, &numbers))
  }

  /// One transfer, in pieces; false if it was declined.
  private func transfer(
    _ way: BlockTransfer, _ image: any BlockDevice, _ offset: Int, _ bytes: inout [UInt8], _ numbers: inout SeededRandom
  ) -> Bool {
    let cut = numbers.below(bytes.count / 512 + 1) * 512
    return bytes.withUnsafeMutableBytes { buffer in
      let pieces = [UnsafeMutableRawBufferPointer(rebasing: buffer[..<cut]), UnsafeMutableRawBufferPointer(rebasing: buffer[cut...])]
      let result = image.transferNow(way, offset: UInt64(offset), pieces: pieces.filter { !$0.isEmpty })
      return result == .success([])
    }
  }

  @Test func whatIsNotOnTheDiskIsDeclined() throws {
    let scratch = Scratch()
    let path = scratch.file("disk")
    store([UInt8](repeating: 7, count: 8192), path)
    let image = try openImage(path: path, format: "raw", readOnly: true)
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.withUnsafeMutableBytes { buffer in
      #expect(image.transferNow(.read, offset: 7680, pieces: [buffer]) == nil)
      #expect(image.transferNow(.read, offset: .max - 511, pieces: [buffer]) == nil)
      #expect(image.transferNow(.read, offset: 1, pieces: [buffer]) == nil)
      #expect(image.transferNow(.write, offset: 0, pieces: [buffer]) == nil)
    }
  }

  /// A host that makes us wait is asked on another thread for a while.
  @Test func patienceEnds() {
    var patience = Patience()
    #expect(patience.use { 1 } == 1)
    #expect(
      patience.use {
        usleep(5000)
        return 2
      } == 2)
    for _ in 0..<Patience.pause { #expect(patience.use { 3 } == nil) }
    #expect(patience.use { 4 } == 4)
  }

  /// Jobs are carried out one at a time, whoever carries them out.
  @Test func theWorkerIsNeverInTwoPlaces() {
    let worker = SerialWorker(name: "test")
    final class Counter: @unchecked Sendable { var value = 0 }
    let counter = Counter()
    var now = 0
    for _ in 0..<2000 {
      worker.add { counter.value += 1 }
      if worker.runNow({ () -> Int? in
        counter.value += 1; return 1
      }) != nil {
        now += 1
      }
      if now % 7 == 0 { usleep(1) }
    }
    try? worker.finish {}
    #expect(counter.value == 2000 + now)
    worker.stop()
    #expect(worker.runNow { 1 } == nil)
  }
}
