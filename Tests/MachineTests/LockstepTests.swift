import Foundation
import Processor
import Storage
import Testing

@testable import Machine

/// Both engines side by side: nothing is found where they agree, and the very instruction where one is made to be wrong.
@Suite(.enabled(if: GuestFixtures.areBuilt, "the fixtures are not built: make -C Fixtures"))
final class LockstepTests {
  private let folder: RunFolder

  init() throws { folder = try RunFolder() }

  private func options(_ guest: String, _ commandLine: String = "") -> RunOptions {
    var options = folder.options(guest, commandLine, memory: 16)
    options.engine = .lockstep
    // Slices of 1000 cycles.
    options.cyclesPerSecond = 1_000_000
    return options
  }

  /// Nil where the host has no translator.
  private func lockstep(_ options: RunOptions) throws -> Lockstep? {
    do {
      return try Lockstep(options: options, say: { _ in })
    } catch let error as MachineError where error.status == 69 { return nil }
  }

  @Test(
    arguments: [("hello", "", 0), ("crashes", "case=8", 3), ("events", "", 0), ("hostile", "n=200 seed=2", 0)] as [(String, String, Int32)])
  func nothingIsFoundWhereTheEnginesAgree(guest: String, words: String, status: Int32) throws {
    guard let lockstep = try lockstep(options(guest, words)) else { return }
    let outcome = lockstep.run()
    #expect(outcome.status == status, "\(outcome.report ?? "")")
    if guest == "hello" { #expect(folder.console == "hello\n") }
    let statistics = try folder.statistics()
    #expect(statistics["engine"] as? String == "lockstep")
    #expect((statistics["state_digest"] as? String)?.hasPrefix("sha256:") == true)
  }

  /// Address and text of the instruction that a guest runs as its `number`th, counted from 1.
  private func instruction(_ number: UInt64, of options: RunOptions) throws -> String {
    var options = options
    options.engine = .interpreter
    let machine = try PVMachine.make(options: options, say: { _ in })
    nonisolated(unsafe) var found = ""
    if number == 1, let first = machine.vcpu.instructions(count: 1).first {
      return "  instruction \(String(first.address, radix: 16)): \(first.text)  ["
    }
    machine.injectedFault = InjectedFault(instruction: number - 1) { [unowned machine] _ in
      if found.isEmpty, let next = machine.vcpu.instructions(count: 1).first {
        found = "  instruction \(String(next.address, radix: 16)): \(next.text)  ["
      }
    }
    _ = machine.run()
    return found
  }

  enum Mistake: CaseIterable { case general, vector, flag }

  @Test(arguments: Mistake.allCases, [1, 77, 4_000, 150_000] as [UInt64])
  func anInjectedMistakeIsFoundAtItsInstruction(mistake: Mistake, number: UInt64) throws {
    let options = options("events")
    guard let lockstep = try lockstep(options) else { return }
    lockstep.injectedFault = InjectedFault(instruction: number) { cpu in
      switch mistake {
      case .general: cpu.pointee.gpr.15 ^= 1 << 40
      case .vector: cpu.pointee.ymm.15.3 ^= 1
      case .flag: cpu.rflags ^= 1 << 18
      }
    }
    let outcome = lockstep.run()
    let report = try #require(outcome.report)
    #expect(outcome.status == Lockstep.differenceStatus && outcome.ending == .difference)
    let expected = try instruction(number, of: options)
    #expect(!expected.isEmpty && report.contains(expected), "\(expected)\n\(report)")
    #expect(report.contains("differ after \(number - 1) instructions"))
    switch mistake {
    case .general: #expect(report.contains("    r15: "))
    case .vector: #expect(report.contains("    ymm15: "))
    case .flag: #expect(report.contains("    flags: "))
    }
  }

  /// A mistake that single blocks do not make is pinned to the shortest run that does.
  @Test func aMistakeOfLongRunsIsFoundByShortening() throws {
    let options = options("events")
    guard let lockstep = try lockstep(options) else { return }
    lockstep.injectedFault = InjectedFault(instruction: 1_500, shortestRun: 100) { $0.pointee.gpr.15 ^= 1 << 40 }
    let outcome = lockstep.run()
    let report = try #require(outcome.report)
    #expect(outcome.status == Lockstep.differenceStatus)
    #expect(report.contains("the difference needs a run of"), "\(report)")
    #expect(report.contains("    r15: "))
  }

  @Test func whatComesInReachesBothGuests() throws {
    guard let lockstep = try lockstep(options("endless")) else { return }
    lockstep.mailbox.post(.signal(15))
    lockstep.mailbox.post(.signal(15))
    let outcome = lockstep.run()
    #expect(outcome.ending == .signal && outcome.status == 143)
  }

  @Test func theTimeoutEndsBothGuests() throws {
    for words in ["case=0", "case=1"] {
      var options = options("endless", words)
      options.timeout = 0.3
      guard let lockstep = try lockstep(options) else { return }
      let outcome = lockstep.run()
      #expect(outcome.ending == .timeout && outcome.status == 124)
    }
  }

  @Test func whatCannotBeGivenToBothIsRefused() throws {
    func status(_ options: RunOptions) -> Int32? {
      do {
        _ = try Lockstep(options: options, say: { _ in })
        return nil
      } catch { return (error as? MachineError)?.status }
    }
    var network = options("hello")
    network.interfaces = [try .init(parsing: "link=user")]
    #expect(status(network) == 64)
    var clock = options("hello")
    clock.clock = .host
    #expect(status(clock) == 64)
    #expect(status(options("no such guest")) == 66)
  }

  @Test func eachMachineWritesToAnOverlayOfItsOwn() throws {
    let image = MemoryBlockDevice(bytes: [UInt8](repeating: 7, count: 4096), isReadOnly: true)
    let overlay = OverlayBlockDevice(image, isReadOnly: false)
    func run(_ request: BlockRequest) -> BlockResult {
      nonisolated(unsafe) var result = BlockResult.success([])
      overlay.submit(request) { result = $0 }
      return result
    }
    #expect(run(.write(offset: 512, data: [UInt8](repeating: 1, count: 1024))) == .success([]))
    #expect(run(.writeZeroes(offset: 2048, count: 512, mayUnmap: true)) == .success([]))
    let expected = [7, 1, 1, 7, 0, 7, 7, 7].flatMap { [UInt8](repeating: $0, count: 512) }
    #expect(run(.read(offset: 0, count: 4096)) == .success(expected))
    #expect(run(.read(offset: 1024, count: 1024)) == .success(Array(expected[1024..<2048])))
    #expect(run(.write(offset: 4096, data: [UInt8](repeating: 1, count: 512))) == .failure(.outOfRange))
    #expect(run(.write(offset: 100, data: [1])) == .failure(.outOfRange))
    #expect(image.contents == [UInt8](repeating: 7, count: 4096))
    let readOnly = OverlayBlockDevice(image, isReadOnly: true)
    nonisolated(unsafe) var refused = BlockResult.success([])
    readOnly.submit(.write(offset: 0, data: [UInt8](repeating: 1, count: 512))) { refused = $0 }
    #expect(refused == .failure(.readOnly))
  }
}
