import Foundation
import Testing

@testable import Hypervisor

/// A guest whose text the real Xen has given (Fixtures/conformance.list), with its command line.
struct ConformanceCase: CustomStringConvertible, Sendable {
  var name: String
  var image: String
  var commandLine: String
  var description: String { name }

  static let all: [ConformanceCase] = {
    let list = (try? String(contentsOf: FixtureMachine.root.appending(path: "Fixtures/conformance.list"), encoding: .utf8)) ?? ""
    return list.split(separator: "\n").compactMap { line in
      let words = line.prefix { $0 != "#" }.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count >= 2 else { return nil }
      return ConformanceCase(name: words[0], image: words[1], commandLine: words.count > 2 ? words[2] : "")
    }
  }()

  /// "guest|Xen's line|Paravane's line" of each deliberate difference.
  static let deviations: Set<String> = {
    let list = (try? String(contentsOf: FixtureMachine.root.appending(path: "Fixtures/deviations.txt"), encoding: .utf8)) ?? ""
    return Set(
      list.split(separator: "\n").filter { !$0.hasPrefix("#") }
        .map { $0.split(separator: "|", omittingEmptySubsequences: false).prefix(3).joined(separator: "|") })
  }()

  var expected: [Substring] {
    let file = FixtureMachine.root.appending(path: "Fixtures/Expected/\(name).txt")
    return ((try? String(contentsOf: file, encoding: .utf8)) ?? "").split(separator: "\n", omittingEmptySubsequences: false)
  }
}

private let built = FixtureMachine.image("hello") != nil

/// Guests made for the tests, run to their end. They are built by `make -C Fixtures`.
@Suite(.enabled(if: built, "the fixtures are not built: make -C Fixtures"))
struct FixtureTests {
  @Test(arguments: ConformanceCase.all, [FrameOrder.identity, .scattered(seed: 5)])
  func aGuestSaysWhatItSaysOnXen(test: ConformanceCase, order: FrameOrder) throws {
    let image = try #require(FixtureMachine.image(test.image), "build it: make -C Fixtures")
    let machine = try FixtureMachine(image, commandLine: test.commandLine, order: order)
    let end = machine.run()
    var text = machine.text
    switch end {
    case .crashed, .shutdown(reason: 3): text += "(crashed)\n"
    default: #expect(end == .shutdown(reason: 0), "\(machine.notes.suffix(3))")
    }
    let (here, there) = (text.split(separator: "\n", omittingEmptySubsequences: false), test.expected)
    for index in 0..<max(here.count, there.count) {
      let (mine, xens) = (index < here.count ? here[index] : "(nothing)", index < there.count ? there[index] : "(nothing)")
      if mine != xens && ConformanceCase.deviations.contains("\(test.name)|\(xens)|\(mine)") { continue }
      #expect(mine == xens, "\(test.name), line \(index + 1)")
    }
  }

  /// Exits served inside the processor's run and exits that leave it make the same guest, to the cycle.
  @Test(arguments: ["events", "pagetables"], [false, true])
  func servedExitsChangeNothing(name: String, translating: Bool) throws {
    let image = try #require(FixtureMachine.image(name), "build it: make -C Fixtures")
    let (a, b) = (
      try FixtureMachine(image, served: false, translating: translating), try FixtureMachine(image, served: true, translating: translating)
    )
    let (first, second) = (a.run(cycles: 200_000_000), b.run(cycles: 200_000_000))
    #expect(first == second)
    #expect(a.text == b.text)
    let (x, y) = (a.domain.vcpus[0], b.domain.vcpus[0])
    #expect(x.vcpu.now == y.vcpu.now)
    #expect(x.vcpu.cpu.rflags == y.vcpu.cpu.rflags)
    #expect(a.domain.exits == b.domain.exits)
    withUnsafeBytes(of: x.vcpu.cpu.pointee.gpr) { left in
      withUnsafeBytes(of: y.vcpu.cpu.pointee.gpr) { right in #expect(left.elementsEqual(right)) }
    }
    #expect(y.vcpu.runCounters.runs < x.vcpu.runCounters.runs)
  }

  @Test(arguments: [UInt64(1), 2, 3, 4])
  func randomHypercallsNeverHarmTheHypervisor(seed: UInt64) throws {
    let image = try #require(FixtureMachine.image("hostile"), "build it: make -C Fixtures")
    let machine = try FixtureMachine(image, commandLine: "n=2000 seed=\(seed)", order: .scattered(seed: seed), megabytes: 16)
    // The guest may stop itself; what counts is that nothing else stops.
    _ = machine.run(cycles: 100_000_000)
    #expect(machine.domain.pageTables.checkInvariants() == [])
  }
}
