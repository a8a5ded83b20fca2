import Compression
import Foundation
import Silicon

/// Runs the vectors of a directory's files, recorded on real processors, and lists what differs, by file and by reason.
struct VectorsCommand {
  let directory: String
  let options: Options

  func run() -> Int32 {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
      .filter { $0.hasSuffix(".MOO") || $0.hasSuffix(".json") || $0.hasSuffix(".gz") }
    guard !names.isEmpty else {
      print("vectors: no file in \(directory)")
      return 66
    }
    let limit = Int(options.number("count", UInt64(Int.max >> 1)))
    let samples = Int(options.number("samples", 0))
    var (run, failed, locked) = (0, 0, 0)
    for name in names {
      if let only = options.text("only"), !name.hasPrefix(only) { continue }
      guard let data = FileManager.default.contents(atPath: directory + "/" + name) else { continue }
      var bytes = [UInt8](data)
      if name.hasSuffix(".gz") {
        guard let whole = try? decompress(bytes, format: .gzip, limit: 1 << 30) else {
          print("\(name)\tcannot be read")
          continue
        }
        bytes = whole
      }
      guard let file = VectorFile(bytes), let machine = try? VectorMachine(endsInHalt: file.endsInHalt) else {
        print("\(name)\tis no file of vectors")
        continue
      }
      var reasons: [String: Int] = [:]
      var shown = 0
      var bad = 0
      for (number, vector) in file.vectors.prefix(limit).enumerated() {
        if machine.isRefusedSince(vector) {
          locked += 1
          continue
        }
        run += 1
        let found = machine.run(vector)
        if found.isEmpty { continue }
        bad += 1
        reasons[found.joined(separator: ", "), default: 0] += 1
        if shown < samples {
          shown += 1
          print(
            "  \(number) \(vector.name) \(vector.bytes.map { String($0, radix: 16) }.joined(separator: " ")): \(found.joined(separator: ", "))"
          )
        }
      }
      failed += bad
      if bad > 0 {
        let list = reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(6).map { "\($0.value) \($0.key)" }
        print("\(name)\t\(bad) of \(min(file.vectors.count, limit))\t\(list.joined(separator: "; "))")
      }
    }
    print("vectors: \(run) run, \(failed) differ, \(locked) with LOCK left out")
    return failed == 0 ? 0 : 1
  }
}
