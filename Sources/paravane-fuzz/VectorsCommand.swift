import Compression
import Foundation
import Silicon

/// Runs the vectors of a directory's files, recorded on real processors, and lists what differs: by reason, and with `--files` by file.
/// What has no reason is an error.
struct VectorsCommand {
  let directory: String
  let options: Options

  private struct Counts {
    var run = 0
    var differ = 0
    var unexplained = 0
    var stray = 0
    var reasons: [String: Int] = [:]
  }

  func run() -> Int32 {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
      .filter { ($0.hasSuffix(".MOO") || $0.hasSuffix(".json") || $0.hasSuffix(".gz")) && $0 != "metadata.json" }
    guard !names.isEmpty else {
      print("vectors: no file in \(directory)")
      return 66
    }
    var total = Counts()
    for name in names {
      if let only = options.text("only"), !name.hasPrefix(only) { continue }
      guard let bytes = read(name) else {
        print("\(name)\tcannot be read")
        continue
      }
      guard let file = VectorFile(bytes), let machine = try? VectorMachine(file.processor) else {
        print("\(name)\tis no file of vectors")
        continue
      }
      let counts = run(name, file, machine)
      if options.has("files") || counts.unexplained + counts.stray > 0 { list(name, counts) }
      total.run += counts.run
      total.differ += counts.differ
      total.unexplained += counts.unexplained
      total.stray += counts.stray
      total.reasons.merge(counts.reasons) { $0 + $1 }
    }
    for (reason, count) in total.reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) { print("\(count)\t\(reason)") }
    print("vectors: \(total.run) run, \(total.differ) differ, unexplained \(total.unexplained), stray writes \(total.stray)")
    return total.unexplained + total.stray == 0 ? 0 : 1
  }

  private func read(_ name: String) -> [UInt8]? {
    guard let data = FileManager.default.contents(atPath: directory + "/" + name) else { return nil }
    return name.hasSuffix(".gz") ? try? decompress([UInt8](data), format: .gzip, limit: 1 << 30) : [UInt8](data)
  }

  private func list(_ name: String, _ counts: Counts) {
    let list = counts.reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
    print("\(name)\t\(counts.differ) of \(counts.run)\t\(list.joined(separator: "; "))")
  }

  private func run(_ name: String, _ file: VectorFile, _ machine: VectorMachine) -> Counts {
    let limit = Int(options.number("count", UInt64(Int.max >> 1)))
    let samples = Int(options.number("samples", 0))
    var counts = Counts()
    var shown = 0
    func show(_ number: Int, _ vector: ProcessorVector, _ what: String) {
      guard shown < samples else { return }
      shown += 1
      let bytes = vector.bytes.map { String($0, radix: 16) }.joined(separator: " ")
      print("  \(name) \(number) \(vector.name) \(bytes): \(what)")
    }
    for (number, vector) in file.vectors.prefix(limit).enumerated() {
      counts.run += 1
      switch machine.judge(vector) {
      case .same: break
      case .explained(let reasons):
        counts.differ += 1
        let key = reasons.map(\.rawValue).joined(separator: " + ")
        counts.reasons[key, default: 0] += 1
        if let wanted = options.text("show"), wanted == key { show(number, vector, key) }
      case .unexplained(let what):
        counts.differ += 1
        counts.unexplained += 1
        counts.reasons["unexplained: " + what.joined(separator: ", "), default: 0] += 1
        if !options.has("show") { show(number, vector, what.joined(separator: ", ")) }
      }
      // A look at all of memory after each would take most of the time.
      if number % 64 == 63 || number + 1 == min(limit, file.vectors.count), !machine.isClean() {
        counts.stray += 1
        print("  \(name) \(number - 63)...\(number): a write that was not recorded")
      }
    }
    return counts
  }
}
