import Foundation
import Testing

@testable import X86

/// Our decoder against Capstone 4.0.2: same length and same instruction, or a difference whose reason is known.
@Suite struct CapstoneTests {
  @Test(arguments: [CodeMode.long64, .protected32, .protected16]) func randomBytes(mode: CodeMode) throws {
    let comparison = try #require(CapstoneComparison(mode))
    var random = RandomBytes(seed: 0x5EED + UInt64(mode.rawValue))
    var counts: [Verdict: Int] = [:]
    var shown = 0
    let strings = mode == .long64 ? 200_000 : 100_000
    for _ in 0..<strings {
      random.next()
      random.bytes.withUnsafeBufferPointer { bytes in
        let (verdict, ours, theirs) = comparison.compare(bytes)
        counts[verdict, default: 0] += 1
        guard verdict == .unexplained && shown < 20 else { return }
        shown += 1
        Issue.record(Comment(rawValue: Self.difference(bytes, ours, theirs, comparison.capstone)))
      }
    }
    #expect(counts[.unexplained] == nil)
    // What agrees is most of it; a decoder that rejected everything would hide behind the explained differences.
    #expect(counts[.same] ?? 0 > strings * 9 / 10)
    print(Self.summary("\(mode)", counts))
  }

  private static let environment = ProcessInfo.processInfo.environment
  /// `make test` gives the unpacked kernels, separated by colons, and asks for every instruction of every program; else it is the first
  /// megabyte.
  private static let kernels = (environment["PARAVANE_WHOLE_TEXT"] ?? "").split(separator: ":").map(String.init)

  /// The instructions of the machine's own programs and of both kernels, which compilers and careful hands wrote: nothing may differ but
  /// names newer than Capstone.
  @Test(arguments: ["/bin/busybox", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"] + kernels)
  func programs(path: String) throws {
    guard let file = FileManager.default.contents(atPath: path), let text = ELFText(file) else {
      try #require(Self.environment["CI"] == nil || path != "/lib/x86_64-linux-gnu/libc.so.6")
      #expect(!Self.kernels.contains(path))
      return
    }
    let comparison = try #require(CapstoneComparison(.long64))
    var counts: [Verdict: Int] = [:]
    var shown = 0
    text.bytes.prefix(Self.kernels.isEmpty ? 1 << 20 : text.bytes.count).withUnsafeBufferPointer { all in
      var at = 0
      while at < all.count {
        let bytes = UnsafeBufferPointer(rebasing: all[at..<min(at + 16, all.count)])
        let (verdict, ours, theirs) = comparison.compare(bytes)
        counts[verdict, default: 0] += 1
        if verdict == .unexplained && shown < 20 {
          shown += 1
          Issue.record(Comment(rawValue: "at \(at): " + Self.difference(bytes, ours, theirs, comparison.capstone)))
        }
        // Data between functions: go on byte by byte until both find instructions again.
        at += ours.map { Int($0.length) } ?? (verdict == .leftOut ? theirs?.length ?? 1 : 1)
      }
    }
    #expect(counts[.unexplained] == nil)
    print(Self.summary(path, counts))
  }

  static func summary(_ title: String, _ counts: [Verdict: Int]) -> String {
    let parts = Verdict.allCases.compactMap { verdict in counts[verdict].map { "\(verdict.rawValue) \($0)" } }
    return title + ": " + parts.joined(separator: ", ")
  }

  static func difference(
    _ bytes: UnsafeBufferPointer<UInt8>, _ ours: Instruction?, _ theirs: Capstone.Answer?, _ capstone: Capstone
  ) -> String {
    let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    let left = ours.map { "\($0) (\($0.length))" } ?? "nothing"
    let right = theirs.map { "\($0.name): \(capstone.lastText) (\($0.length))" } ?? "nothing"
    return "\(hex): \(left) | \(right)"
  }
}

/// The .text section of a 64-bit ELF file.
struct ELFText {
  let bytes: [UInt8]

  init?(_ file: Data) {
    let file = [UInt8](file)
    func number(_ at: Int, _ count: Int) -> Int? {
      guard at >= 0, at + count <= file.count else { return nil }
      return (0..<count).reduce(0) { $0 | Int(file[at + $1]) << ($1 * 8) }
    }
    guard file.prefix(5) == [0x7F, 0x45, 0x4C, 0x46, 2], let sections = number(0x28, 8), let count = number(0x3C, 2),
      let namesIndex = number(0x3E, 2), let names = number(sections + namesIndex * 64 + 0x18, 8)
    else { return nil }
    for i in 0..<count {
      let header = sections + i * 64
      guard let name = number(header, 4), let offset = number(header + 0x18, 8), let size = number(header + 0x20, 8) else { return nil }
      guard names + name + 6 <= file.count, offset + size <= file.count else { continue }
      if Array(file[(names + name)..<(names + name + 6)]) == Array(".text\0".utf8) {
        bytes = Array(file[offset..<(offset + size)])
        return
      }
    }
    return nil
  }
}
