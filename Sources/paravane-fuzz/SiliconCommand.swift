import Foundation
import Silicon
import X86

/// Runs a campaign, in several processes where asked (signal handlers and fixed addresses are a process's), and prints what differs
/// and which forms were compared.
struct SiliconCommand {
  let options: Options

  func run() -> Int32 {
    let jobs = options.number("jobs", 1)
    let only = options.text("only")?.split(separator: ",").map(String.init) ?? []
    let campaign: SiliconCampaign
    do {
      campaign = try SiliconCampaign(
        seed: options.number("seed", 1), only: only, isTranslating: options.has("translator"), longest: options.number("length", 1),
        isStrict: options.has("strict"),
        samples: options.number("samples", 1))
    } catch {
      print("silicon: not compared: \(error)")
      return 0
    }
    let first = options.number("first", 0)
    let end = first &+ options.number("count", 1_000_000)
    if let worker = options.text("worker"), let number = UInt64(worker) {
      emit(campaign.run(first: first &+ number, end: end, stride: jobs))
      return 0
    }
    let report = jobs > 1 ? gather(jobs) : campaign.run(first: first, end: end)
    return conclude(campaign, report, isWhole: only.isEmpty && options.number("length", 1) <= 1)
  }

  private func conclude(_ campaign: SiliconCampaign, _ report: SiliconReport, isWhole: Bool) -> Int32 {
    for sample in report.samples { print(sample) }
    for (kind, count) in report.kinds.sorted(by: { $0.key < $1.key }) { print("\(count)\t\(kind)") }
    let missing = campaign.forms.filter { report.compared[Int($0.id)] == 0 }
    let never = campaign.forms.filter { report.compared[Int($0.id)] > 0 && report.completed[Int($0.id)] == 0 && !$0.isPrivileged }
    var reasons: [String: Int] = [:]
    for (_, reason) in campaign.excluded { reasons[reason, default: 0] += 1 }
    for (reason, count) in reasons.sorted(by: { $0.key < $1.key }) { print("left out: \(count) forms: \(reason)") }
    if !missing.isEmpty { print("not reached: " + missing.map(SiliconCampaign.title).joined(separator: ", ")) }
    if !never.isEmpty { print("only exceptions: " + never.map(SiliconCampaign.title).joined(separator: ", ")) }
    let total = InstructionTable.shared.forms.count - 1
    print(
      "silicon: \(report.executions) executions, \(report.differing) differ in \(report.kinds.count) ways; "
        + "\(campaign.forms.count - missing.count) of \(total) forms compared, \(campaign.excluded.count) left out")
    return report.differing == 0 && (missing.isEmpty || !isWhole) ? 0 : 1
  }

  // MARK: - Several processes

  private func emit(_ report: SiliconReport) {
    var text = "R \(report.executions) \(report.differing)\n"
    for id in report.compared.indices where report.compared[id] != 0 { text += "F \(id) \(report.compared[id]) \(report.completed[id])\n" }
    for (kind, count) in report.kinds.sorted(by: { $0.key < $1.key }) { text += "K \(count) \(kind)\n" }
    for sample in report.samples {
      for line in sample.split(separator: "\n") { text += "S \(line)\n" }
      text += "E\n"
    }
    FileHandle.standardOutput.write(Data(text.utf8))
  }

  private func gather(_ jobs: UInt64) -> SiliconReport {
    var report = SiliconReport()
    report.compared = Array(repeating: 0, count: InstructionTable.shared.forms.count)
    report.completed = report.compared
    var workers: [(Process, Pipe)] = []
    for job in 0..<jobs {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
      process.arguments = Array(CommandLine.arguments.dropFirst()) + ["--worker", "\(job)"]
      let pipe = Pipe()
      process.standardOutput = pipe
      do { try process.run() } catch {
        print("silicon: cannot start a worker: \(error)")
        report.differing += 1
        continue
      }
      workers.append((process, pipe))
    }
    for (process, pipe) in workers {
      let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      take(text, &report)
      if process.terminationStatus != 0 {
        print("silicon: a worker ended with status \(process.terminationStatus)")
        report.differing += 1
      }
    }
    return report
  }

  private func take(_ text: String, _ report: inout SiliconReport) {
    var sample = ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: line.hasPrefix("F") ? 3 : 2)
      switch line.first {
      case "R" where words.count == 3:
        report.executions += UInt64(words[1]) ?? 0
        report.differing += UInt64(words[2]) ?? 0
      case "F" where words.count == 4:
        guard let id = Int(words[1]), id < report.compared.count else { continue }
        report.compared[id] += UInt64(words[2]) ?? 0
        report.completed[id] += UInt64(words[3]) ?? 0
      case "K" where words.count == 3: report.kinds[String(words[2]), default: 0] += UInt64(words[1]) ?? 0
      case "S": sample += line.dropFirst(2) + "\n"
      case "E":
        if report.samples.count < 400 { report.samples.append(sample) }
        sample = ""
      default: break
      }
    }
  }
}
