import Foundation
import Testing

@testable import Machine

/// Whole machines, put together as the command line does, with the guests of `make -C Fixtures`.
@Suite(.enabled(if: GuestFixtures.areBuilt, "the fixtures are not built: make -C Fixtures"))
final class WholeMachineTests {
  private let folder: RunFolder

  init() throws { folder = try RunFolder() }

  struct Run {
    var outcome: Outcome
    var console: String
    var statistics: [String: Any]
    var machine: PVMachine
    var digest: String { statistics["state_digest"] as? String ?? "none" }
  }

  private func options(_ guest: String, _ commandLine: String = "") -> RunOptions {
    var options = folder.options(guest, commandLine, memory: 32)
    options.wantsDigest = true
    return options
  }

  private func run(_ options: RunOptions, before: (PVMachine) -> Void = { _ in }) throws -> Run {
    let machine = try PVMachine.make(options: options, say: { _ in })
    before(machine)
    let outcome = machine.run()
    return Run(outcome: outcome, console: folder.console, statistics: try folder.statistics(), machine: machine)
  }

  private func failure(_ options: RunOptions) -> MachineError? {
    do {
      _ = try PVMachine.make(options: options, say: { _ in })
      return nil
    } catch { return error as? MachineError }
  }

  /// Where two machines' memories or registers are not the same.
  private func difference(_ a: PVMachine, _ b: PVMachine) -> String {
    for address in stride(from: UInt64(0), to: a.memory.byteCount, by: 8) {
      let (left, right) = (a.memory.load(address, as: UInt64.self), b.memory.load(address, as: UInt64.self))
      if left != right { return "memory at \(String(address, radix: 16)): \(left ?? 0), \(right ?? 0)" }
    }
    let left = withUnsafeBytes(of: a.vcpu.cpu.pointee) { [UInt8]($0) }
    let right = withUnsafeBytes(of: b.vcpu.cpu.pointee) { [UInt8]($0) }
    return "memory is the same; bytes of the processor: \(left.indices.filter { left[$0] != right[$0] })"
  }

  @Test func helloSaysHelloAndPowersOffTheSameTwice() throws {
    let first = try run(options("hello"))
    #expect(first.outcome.ending == .poweroff && first.outcome.status == 0 && first.outcome.report == nil)
    #expect(first.console == "hello\n")
    #expect(first.statistics["ended"] as? String == "poweroff")
    #expect(first.digest.hasPrefix("sha256:") && first.digest.count == 71)
    #expect((first.statistics["guest_instructions"] as? Int ?? 0) > 0)
    #expect(((first.statistics["hypercalls"] as? [String: Int])?["sched_op"] ?? 0) >= 1)
    let second = try run(options("hello"))
    #expect(second.digest == first.digest, "\(difference(first.machine, second.machine))")
    for key in ["guest_instructions", "guest_cycles"] { #expect(second.statistics[key] as? Int == first.statistics[key] as? Int, "\(key)") }
  }

  @Test func theDigestTellsRunsApart() throws {
    let plain = try run(options("hello"))
    let worded = try run(options("hello", "word"))
    var scattered = options("hello")
    scattered.frames = .scattered(seed: 3)
    let other = try run(scattered)
    #expect(other.console == "hello\n" && worded.console == "hello\n")
    #expect(Set([plain.digest, worded.digest, other.digest]).count == 3)
  }

  @Test(arguments: [("hello", "", 0), ("crashes", "case=8", 3), ("hostile", "n=300 seed=2", 0)] as [(String, String, Int32)])
  func theEnginesEndInTheSameState(guest: String, words: String, status: Int32) throws {
    let interpreted = try run(options(guest, words))
    var options = options(guest, words)
    options.engine = .translator
    // A host without executable memory has no translator.
    if failure(options)?.status == 69 { return }
    let translated = try run(options)
    #expect(interpreted.outcome.status == status)
    #expect(translated.outcome.status == status && translated.console == interpreted.console)
    #expect(translated.outcome.report == interpreted.outcome.report)
    #expect(translated.digest == interpreted.digest, "\(difference(interpreted.machine, translated.machine))")
  }

  @Test(arguments: [1, 8, 10])
  func aCrashGivesStatus3AndAReport(number: Int) throws {
    let run = try run(options("crashes", "case=\(number)"))
    #expect(run.outcome.ending == .crash && run.outcome.status == 3)
    #expect(run.console.hasPrefix("case \(number): "))
    #expect(!run.console.contains("survived"))
    let report = try #require(run.outcome.report)
    #expect(report.lowercased().contains("rip") && report.hasSuffix("\n"))
    #expect(run.statistics["ended"] as? String == "crash")
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func aHostileGuestHarmsItselfOnly(seed: UInt64) throws {
    var options = options("hostile", "n=600 seed=\(seed)")
    options.frames = .scattered(seed: seed)
    options.memory = 16
    // A guest that has put itself to sleep for good is given up.
    options.timeout = 20
    let run = try run(options)
    #expect([0, 3, 124].contains(run.outcome.status))
    #expect((run.outcome.report == nil) == (run.outcome.status == 0))
  }

  @Test(arguments: ["case=0", "case=1"], [ClockMode.virtual, .host])
  func theTimeoutEndsAGuestThatComputesOrWaits(words: String, clock: ClockMode) throws {
    var options = options("endless", words)
    options.clock = clock
    options.timeout = 0.2
    let run = try run(options)
    #expect(run.outcome.ending == .timeout && run.outcome.status == 124)
    #expect(run.console == (words == "case=0" ? "computing\n" : "waiting\n"))
  }

  @Test func theSecondSignalEndsTheGuest() throws {
    for number in [2, 15] as [Int32] {
      let run = try run(options("endless")) { machine in
        machine.mailbox.post(.signal(number))
        machine.mailbox.post(.signal(number))
      }
      #expect(run.outcome.ending == .signal && run.outcome.status == 128 + number)
    }
  }

  @Test func leavingTheConsoleEndsTheGuest() throws {
    let run = try run(options("endless", "case=1")) { $0.mailbox.post(.leave) }
    #expect(run.outcome.ending == .poweroff && run.outcome.status == 0)
  }

  @Test func whatDoesNotFitIsAnErrorOfUse() {
    var small = options("hello")
    small.memory = 1
    #expect(failure(small)?.status == 64)
    #expect(failure(options("hello", String(repeating: "x", count: 5000)))?.status == 64)
    #expect(failure(options("hello", "a\u{0}b"))?.status == 64)
    var cpu = options("hello")
    cpu.cpu = "v9"
    #expect(failure(cpu)?.status == 64)
    var console = options("hello")
    console.console = "printer"
    #expect(failure(console)?.status == 64)
  }

  @Test func filesThatAreNotThereOrNoKernels() throws {
    #expect(failure(options("no such guest"))?.status == 66)
    #expect(failure(options("objects"))?.status == 66, "a folder")
    var ramdisk = options("hello")
    ramdisk.ramdisk = "\(folder.path)/none"
    #expect(failure(ramdisk)?.status == 66)
    let good = try Data(contentsOf: URL(fileURLWithPath: GuestFixtures.path("hello")))
    for (name, data) in [("empty", Data()), ("text", Data("#!/bin/sh\n".utf8)), ("cut", good.prefix(300)), ("short", good.prefix(2000))] {
      var bad = options("hello")
      bad.kernel = "\(folder.path)/\(name)"
      try data.write(to: URL(fileURLWithPath: bad.kernel))
      let error = try #require(failure(bad), "\(name)")
      #expect(error.status == 65 && error.message.hasPrefix(bad.kernel + ": ") && !error.message.contains("\n"), "\(name)")
    }
  }
}
