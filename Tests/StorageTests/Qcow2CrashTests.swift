import Foundation
import Random
import Testing

@testable import Storage

/// A file as it changes, so that every moment of it can be seen again.
private struct FileLog {
  var start: [UInt8]
  var events: [ImageFileEvent] = []

  /// The file after the events whose number `isDone` accepts.
  func contents(_ isDone: (Int) -> Bool) -> [UInt8] {
    var bytes = start
    for (number, event) in events.enumerated() where isDone(number) { apply(event, to: &bytes) }
    return bytes
  }

  func apply(_ event: ImageFileEvent, to bytes: inout [UInt8]) {
    switch event {
    case .write(let offset, let data):
      let end = Int(offset) + data.count
      if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
      bytes.replaceSubrange(Int(offset)..<end, with: data)
    case .truncate(let size):
      if bytes.count < Int(size) {
        bytes += [UInt8](repeating: 0, count: Int(size) - bytes.count)
      } else {
        bytes.removeLast(bytes.count - Int(size))
      }
    case .punch(let offset, let count):
      for index in Int(offset)..<min(Int(offset + count), bytes.count) { bytes[index] = 0 }
    case .synchronize: break
    }
  }
}

@Suite struct Qcow2CrashTests {
  /// A run of random requests with its file log; after each flush, what the disk held and how many events there were.
  private struct Recording {
    var log: FileLog
    /// Number of events, and the disk, after each flush.
    var flushes: [(events: Int, disk: [UInt8])]
    /// The same after each request.
    var requests: [(events: Int, disk: [UInt8])]
  }

  private func record(_ kind: ImageKind, _ path: String, steps: Int, seed: UInt64) throws -> Recording {
    let size = 1 << 17
    try Qcow2Image.create(
      path: path, size: UInt64(size), clusterBits: kind.clusterBits, lazyRefcounts: kind.lazy, version: kind.version,
      refcountOrder: kind.refcountOrder)
    let core = try openCore(path)
    final class Events { var list: [ImageFileEvent] = [] }
    let events = Events()
    core.file.observer = { events.list.append($0) }
    var model = DiskModel(bytes: [UInt8](repeating: 0, count: size), numbers: SeededRandom(seed: seed))
    var recording = Recording(log: FileLog(start: load(path)), flushes: [(0, model.bytes)], requests: [])
    for step in 0..<steps {
      try model.step(on: core)
      recording.requests.append((events.list.count, model.bytes))
      if step % 7 == 6 {
        try core.flush()
        recording.flushes.append((events.list.count, model.bytes))
      }
    }
    core.file.observer = nil
    recording.log.events = events.list
    return recording
  }

  /// Every sector holds what it held at the last flush, or what a later request put there.
  private func expectFlushed(_ disk: [UInt8], _ recording: Recording, at moment: Int, _ what: String) {
    let flushed = recording.flushes.last { $0.events <= moment }!
    // A request that was not finished at that moment may have reached the disk in part.
    var later = recording.requests.filter { $0.events > flushed.events && $0.events <= moment }.map(\.disk)
    if let next = recording.requests.first(where: { $0.events > moment }) { later.append(next.disk) }
    if disk == flushed.disk { return }
    for sector in 0..<disk.count / 512 {
      if isSame(disk, flushed.disk, sector) || later.contains(where: { isSame(disk, $0, sector) }) { continue }
      Issue.record("\(what): sector \(sector) is neither as flushed nor as written later")
      return
    }
  }

  private func isSame(_ one: [UInt8], _ other: [UInt8], _ sector: Int) -> Bool {
    one.withUnsafeBytes { a in other.withUnsafeBytes { b in memcmp(a.baseAddress! + sector * 512, b.baseAddress! + sector * 512, 512) == 0 }
    }
  }

  static let kinds = [
    ImageKind(clusterBits: 9), ImageKind(clusterBits: 12), ImageKind(version: 2, clusterBits: 11),
    ImageKind(clusterBits: 12, refcountOrder: 6),
    ImageKind(clusterBits: 12, lazy: true),
  ]

  /// Killed after any write to the file: the image is clean and nothing that was flushed is lost.
  @Test(arguments: kinds) func killedAnywhere(_ kind: ImageKind) throws {
    let scratch = Scratch()
    let recording = try record(kind, scratch.file("image"), steps: 70, seed: 5)
    let path = scratch.file("killed")
    var bytes = recording.log.start
    let count = recording.log.events.count
    // Every moment would be slow; a prime step meets each kind of moment.
    for moment in 0..<count {
      recording.log.apply(recording.log.events[moment], to: &bytes)
      guard moment % 5 == 0 || moment + 20 > count else { continue }
      store(bytes, path)
      if kind.lazy {
        // The counts may be out of date, and the header says so: opening mends them.
        _ = try openCore(path)
      }
      let report = try Qcow2Image.check(path: path)
      #expect(report.isClean, "after event \(moment): \(report.findings)")
      if moment % 97 == 0 { Qemu.expectClean(path, "after event \(moment)") }
      expectFlushed(try wholeDisk(path), recording, at: moment + 1, "after event \(moment)")
      if !report.isClean { return }
    }
  }

  /// The machine fails: of the writes since the last that was known to be stable any may be missing.
  @Test(arguments: kinds) func powerLost(_ kind: ImageKind) throws {
    let scratch = Scratch()
    let recording = try record(kind, scratch.file("image"), steps: 70, seed: 6)
    let path = scratch.file("failed")
    var numbers = SeededRandom(seed: 8)
    let count = recording.log.events.count
    for round in 0..<40 {
      let moment = numbers.below(count)
      let stable = (0..<moment).last { if case .synchronize = recording.log.events[$0] { true } else { false } } ?? 0
      let salt = numbers.next()
      let bytes = recording.log.contents { number in
        if number >= moment { return false }
        var coin = SeededRandom(seed: salt &+ UInt64(number))
        return number <= stable || coin.below(2) == 0
      }
      store(bytes, path)
      if kind.lazy { _ = try openCore(path) }
      let report = try Qcow2Image.check(path: path)
      #expect(report.isClean, "round \(round), event \(moment): \(report.findings)")
      expectFlushed(try wholeDisk(path), recording, at: moment, "round \(round), event \(moment)")
      if !report.isClean { return }
    }
  }
}
