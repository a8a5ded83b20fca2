import Foundation
import Random
import Silicon
import Storage

/// qcow2 images whose header and tables were changed: opened, asked about, read, written, checked and repaired. The file lies in the
/// host's directory for temporary files and goes at the end.
struct ImageTarget: FuzzTarget {
  private let directory: URL
  private let path: String
  private let samples: [[UInt8]]

  init() throws {
    directory = FileManager.default.temporaryDirectory.appending(path: "paravane-fuzz-\(getpid())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    path = directory.appending(path: "disk.qcow2").path
    var samples: [[UInt8]] = []
    for (bits, version) in [(9, 3), (12, 3), (16, 2)] {
      try Qcow2Image.create(path: path, size: 1 << 20, clusterBits: bits, version: version)
      let image = try Qcow2Image(path: path, readOnly: false)
      for part in 0..<24 as Range<UInt64> {
        _ = Self.ask(image, .write(offset: part * 40960 & ~511, data: [UInt8](repeating: UInt8(part), count: 1024)))
      }
      _ = Self.ask(image, .flush)
      try image.close()
      samples.append([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
    }
    self.samples = samples
  }

  /// Carries a request out, waiting for it.
  private static func ask(_ device: any BlockDevice, _ request: BlockRequest) -> BlockResult {
    let done = DispatchSemaphore(value: 0)
    let box = ResultBox()
    device.submit(request) { result in
      box.result = result
      done.signal()
    }
    done.wait()
    return box.result
  }

  private final class ResultBox: @unchecked Sendable {
    // Written before the semaphore is signalled, read after.
    var result: BlockResult = .failure(.notSupported)
  }

  mutating func run(_ random: inout SeededRandom) -> String? {
    var bytes = samples[Int(random.below(UInt64(samples.count)))]
    if random.oneIn(2) {
      var header = Array(bytes.prefix(512))
      Mutator.mutate(&header, &random, rounds: 4)
      bytes = header + bytes.dropFirst(512)
    } else {
      // The tables: big-endian words near offsets of the file.
      for _ in 0..<1 + random.below(12) {
        let at = Int(random.below(UInt64(min(bytes.count, 0x40000)) / 8)) * 8
        let value = random.oneIn(3) ? Mutator.word(&random) : random.below(UInt64(bytes.count) * 2) & ~511 | random.below(4) << 62
        for i in 0..<8 where at + i < bytes.count { bytes[at + i] = UInt8(truncatingIfNeeded: value >> UInt64(56 - i * 8)) }
      }
    }
    guard (try? Data(bytes).write(to: URL(fileURLWithPath: path))) != nil else { return nil }
    _ = try? ImageInfo(path: path)
    _ = try? Qcow2Image.check(path: path)
    if let image = try? Qcow2Image(path: path, readOnly: random.oneIn(4)) {
      for _ in 0..<12 {
        let offset = random.oneIn(10) ? Mutator.word(&random) : random.below(2048) * 512
        let count = Int(random.below(64)) * 512
        switch random.below(6) {
        case 0, 1:
          if case .success(let data) = Self.ask(image, .read(offset: offset, count: count)), data.count != count {
            return "a read of \(count) bytes gave \(data.count)"
          }
        case 2, 3: _ = Self.ask(image, .write(offset: offset, data: [UInt8](repeating: 5, count: count)))
        case 4: _ = Self.ask(image, .discard(offset: offset, count: UInt64(count)))
        default: _ = Self.ask(image, random.oneIn(2) ? .flush : .writeZeroes(offset: offset, count: UInt64(count), mayUnmap: true))
        }
      }
      try? image.close()
    }
    let repair = Qcow2Repair.allCases[Int(random.below(UInt64(Qcow2Repair.allCases.count)))]
    _ = try? Qcow2Image.check(path: path, repair: repair)
    return nil
  }
}
