import ArgumentParser
import Foundation
import Machine
import Processor

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tell what works on this machine, with a mending line for what does not.",
    discussion: "Ends with status 69 if a PV guest could not run here at all.")

  private struct Finding {
    var good: Bool
    var needed: Bool
    var what: String
    var mend: String?
  }

  func run() throws {
    var findings: [Finding] = []
    findings.append(Finding(good: true, needed: true, what: "engine: interpreter", mend: nil))
    findings.append(
      Finding(good: true, needed: false, what: "processor levels: v1 v2 v3 (the interpreter serves all on any host)", mend: nil))
    findings.append(
      Finding(
        good: x87Available, needed: false, what: "x87 at 80 bits",
        mend: "this host has no 80-bit unit: x87 instructions are refused in guests"))
    findings.append(memory())
    findings.append(tap())
    findings.append(directory())
    findings.append(file(RunOptions.standardBIOS, "SeaBIOS (--type hvm)", package: "seabios"))
    findings.append(
      file(RunOptions.standardPVGRUB, "pvgrub (PV guests that boot from their disk)", package: "grub-xen-host"))
    for tool in ["busybox", "cpio", "depmod"] { findings.append(program(tool)) }
    for finding in findings {
      print("\(finding.good ? "ok     " : finding.needed ? "BROKEN " : "missing")  \(finding.what)")
      if !finding.good, let mend = finding.mend { print("         \(mend)") }
    }
    if findings.contains(where: { !$0.good && $0.needed }) { throw ExitCode(69) }
  }

  private func memory() -> Finding {
    let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    let mebibytes = line.flatMap { Int($0.split(separator: " ")[1]) }.map { $0 / 1024 } ?? 0
    return Finding(
      good: mebibytes >= 256, needed: true, what: "memory: \(mebibytes) MiB available",
      mend: "a Debian guest wants 256 MiB or more: free some")
  }

  private func tap() -> Finding {
    let works = access("/dev/net/tun", R_OK | W_OK) == 0
    return Finding(
      good: works, needed: false, what: "tap devices (link=tap)", mend: "/dev/net/tun is not open to you; link=user needs no rights")
  }

  private func directory() -> Finding {
    let path = FileManager.default.currentDirectoryPath
    return Finding(
      good: access(path, W_OK) == 0, needed: false, what: "files can be written in \(path)",
      mend: "--stats, --capture and disk images want a folder that you can write to")
  }

  private func file(_ path: String, _ what: String, package: String) -> Finding {
    Finding(good: access(path, R_OK) == 0, needed: false, what: what, mend: "sudo apt-get install \(package)")
  }

  private func program(_ name: String) -> Finding {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    let paths: [Substring] = path.split(separator: ":") + ["/sbin", "/usr/sbin"]
    let found = paths.contains { access("\($0)/\(name)", X_OK) == 0 }
    let package = ["busybox": "busybox-static", "depmod": "kmod"][name] ?? name
    return Finding(good: found, needed: false, what: "\(name) (make run)", mend: "sudo apt-get install \(package)")
  }
}
