import Random
import Testing

@testable import Configuration

/// No text ends a parser but with a value or an error.
struct FuzzTests {
  private static let words = [
    "name", "disk", "=", "+=", "[", "]", "'", "\"", ",", ";", "\n", "#", " ", "\t", "\r", "0x", "12", "-", "\\", "n", "é", "\u{0}", "_",
    "[[[",
    "'a,raw,xvda,rw'", "target=", "xvda", "xvd", "hd", "sd", "zz", "999999999999", "raw", "qcow2", "rw", "cdrom", ":cdrom", "mac=",
    "00:16:3e",
    ":", "link=", "tap", "socket", "path=", "ifname=", "hostfwd=", "tcp:", "udp::", "-:", "65535", "mtu=", "+", "discard",
  ]

  private func text(_ random: inout SeededRandom) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0..<14, using: &random) { text += Self.words.randomElement(using: &random)! }
    return text
  }

  @Test func configurationsNeverHarm() throws {
    var random = SeededRandom(seed: 1)
    var accepted = 0
    for _ in 0..<6000 {
      let text = text(&random)
      let lines = text.utf8.count { $0 == 10 } + 1
      do {
        let file = try XLConfiguration(parsing: text)
        accepted += 1
        #expect(file.entries.allSatisfy { (1...lines).contains($0.line) && !$0.key.isEmpty }, "\(text)")
      } catch {
        #expect((1...lines).contains(error.line), "\(text): \(error)")
      }
    }
    #expect(accepted > 50)
  }

  @Test func specificationsNeverHarm() throws {
    var random = SeededRandom(seed: 2)
    for _ in 0..<6000 {
      let text = text(&random)
      if let disk = try? DiskSpecification(parsing: text) {
        #expect(disk.virtualDevice != nil && (!disk.target.isEmpty || disk.isCDROM), "\(text)")
      }
      if let card = try? NetworkSpecification(parsing: text) {
        #expect(card.mac == nil || card.mac?.count == 6, "\(text)")
        #expect(card.forwards.isEmpty || card.link == .user, "\(text)")
      }
    }
  }

  /// What is written as xl.cfg(5) has it is read back as it was.
  @Test func valuesSurviveBeingWrittenAndRead() throws {
    func written(_ value: XLConfiguration.Value) -> String {
      switch value {
      case .number(let number): return String(number)
      case .list(let values): return "[" + values.map(written).joined(separator: ", ") + "]"
      case .string(let text):
        var out = "\""
        for c in text { out += c == "\n" ? "\\n" : c == "\"" || c == "\\" ? "\\\(c)" : String(c) }
        return out + "\""
      }
    }
    var random = SeededRandom(seed: 3)
    func value(_ depth: Int) -> XLConfiguration.Value {
      switch Int.random(in: 0..<(depth > 3 ? 2 : 3), using: &random) {
      case 0: return .number(Int64.random(in: .min ... .max, using: &random))
      case 1: return .string(text(&random))
      default: return .list((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth + 1) })
      }
    }
    for _ in 0..<500 {
      let wanted = value(0)
      let file = try XLConfiguration(parsing: "key = " + written(wanted) + "\n")
      #expect(file["key"] == wanted)
    }
  }
}
