import CHost
import Foundation
import Testing
import X86

@testable import Processor

/// What the translator makes of every instruction form, held to what is written down in `Golden/`: a change of the translator shows in
/// the listings, and nothing changes unseen. `make golden` writes them anew.
@Suite struct GoldenTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden")

  private static let isWriting = ProcessInfo.processInfo.environment["PARAVANE_GOLDEN"] == "write"

  @Test func theTranslationsAreTheOnesWrittenDown() throws {
    let every =
      PH_VECTOR_SSE3 | PH_VECTOR_SSSE3 | PH_VECTOR_SSE41 | PH_VECTOR_SSE42 | PH_VECTOR_AES | PH_VECTOR_PCLMULQDQ | PH_VECTOR_SHA
      | PH_VECTOR_AVX2 | PH_VECTOR_FMA | PH_VECTOR_F16C
    let integers: HostIntegerFeatures = [.bmi1, .bmi2, .popcnt, .lzcnt, .movbe, .adx, .crc32, .cmpxchg16b]
    guard Int(VectorNative.hostFeatures) & Int(every) == Int(every), HostIntegerFeatures.present.isSuperset(of: integers),
      HostKnownResults.groups.allSatisfy({ HostKnownResults.present.contains($0.0) }), HostKnownResults.present.contains(.x87),
      SetAccess.hasGS, SetAccess.hasPEXT
    else {
      print("golden: not compared: the listings are those of a recent Intel host with SHA, ADX, FSGSBASE and x86-64-v3; this one differs")
      #expect(!Self.isWriting, "this host cannot write the listings")
      return
    }
    guard let listings = try Self.listings() else { return }
    if Self.isWriting {
      try? FileManager.default.removeItem(at: Self.folder)
      try FileManager.default.createDirectory(at: Self.folder, withIntermediateDirectories: true)
      for (name, text) in listings { try text.write(to: Self.folder.appending(path: name), atomically: true, encoding: .utf8) }
      return
    }
    var different: [String] = []
    for (name, text) in listings {
      let written = (try? String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)) ?? ""
      if let line = Self.firstDifference(written, text) { different.append("\(name), \(line)") }
    }
    let files = Set((try? FileManager.default.contentsOfDirectory(atPath: Self.folder.path)) ?? [])
    for extra in files.subtracting(listings.map(\.0)).sorted() { different.append("\(extra) is of no group any more") }
    #expect(
      different.isEmpty,
      "translations are not the ones written down; where that is meant, say `make golden` and commit: \(different.joined(separator: "; "))")
  }

  private static func firstDifference(_ old: String, _ new: String) -> String? {
    guard old != new else { return nil }
    let (a, b) = (old.split(separator: "\n"), new.split(separator: "\n"))
    for index in 0..<max(a.count, b.count) where index >= a.count || index >= b.count || a[index] != b[index] {
      return "line \(index + 1): '\(index < a.count ? a[index] : "")' is now '\(index < b.count ? b[index] : "")'"
    }
    return "white space"
  }

  // MARK: - Listings

  /// File names and texts, one for each group of forms; nil where the host has no translator.
  private static func listings() throws -> [(String, String)]? {
    let machine = try TestMachine([])
    guard machine.vcpu.enableTranslator(alwaysMindingNaNs: true), let lister = Lister(machine) else { return nil }
    var texts: [String: String] = [:]
    var counts: [String: (native: Int, left: Int)] = [:]
    var ordinals: [Mnemonic: Int] = [:]
    for form in InstructionTable.shared.forms.dropFirst() where form.isValid(in: .long64) {
      let ordinal = ordinals[form.mnemonic, default: 0]
      ordinals[form.mnemonic] = ordinal + 1
      for encoding in GoldenEncoding.all(of: form, ordinal: ordinal) {
        let (text, isNative) = lister.listing(encoding)
        let group = groups[form.feature] ?? "other"
        texts[group, default: ""] += text
        if isNative { counts[group, default: (0, 0)].native += 1 } else { counts[group, default: (0, 0)].left += 1 }
      }
    }
    return texts.sorted { $0.key < $1.key }.map { group, text in
      let count = counts[group, default: (0, 0)]
      let head = "# \(group): \(count.native) translated, \(count.left) left to the interpreter. Written by `make golden`.\n"
      return (group + ".txt", head + text)
    }
  }

  /// The file that a feature's forms are listed in; "other" for all that are not here.
  private static let groups: [String: String] = {
    var groups: [String: String] = [:]
    for name in ["base", "x87", "mmx", "sse", "sse2", "sse3", "ssse3", "sse41", "sse42", "avx", "avx2", "fma"] { groups[name] = name }
    for name in ["bmi1", "bmi2", "adx", "lzcnt", "popcnt", "movbe"] { groups[name] = "bits" }
    for name in ["aes", "pclmulqdq", "sha"] { groups[name] = "crypto" }
    return groups
  }()

  private struct Lister {
    let machine: TestMachine
    let disassembler: HostDisassembler
    let routines: [Int: String]

    init?(_ machine: TestMachine) {
      guard let disassembler = HostDisassembler(), let translator = machine.vcpu.translator else { return nil }
      translator.separatesRare = false
      self.machine = machine
      self.disassembler = disassembler
      var routines: [Int: String] = [:]
      for child in Mirror(reflecting: translator.runtime).children {
        if let name = child.label, let offset = child.value as? Int { routines[offset] = name }
      }
      routines[translator.fetchHostFlags] = "fetchHostFlags"
      self.routines = routines
    }

    /// The host code of a block of one instruction; nil where it is left to the interpreter.
    private func translate(_ bytes: [UInt8], _ instruction: Instruction) -> [HostDisassembler.Line]? {
      let vcpu = machine.vcpu
      guard let translator = vcpu.translator else { return nil }
      vcpu.blocks.flush()
      let address = TestMachine.code + 0x100
      machine.memory.zero(TestMachine.code, count: 4096)
      machine.memory.copyIn(bytes, at: address)
      vcpu.blocks.operationLimit = 1
      defer { vcpu.blocks.operationLimit = BlockCache.maximumOperations }
      guard let block = vcpu.blocks.build(address: address, mode: 0), translator.translate(block), let code = block.pointee.code,
        !translator.steps.contains(where: \.isFallback)
      else { return nil }
      let known = [UInt64(bitPattern: instruction.immediate), UInt64(bitPattern: instruction.displacement)]
      return disassembler.lines(
        translator.code.writable, translator.offset(of: code), translator.code.position, routines: routines, known: Set(known))
    }

    /// Lines with jumps by the number of the line they lead to, which is marked; a way out of the block on one line.
    private func render(_ lines: [HostDisassembler.Line]) -> String {
      let targets = Set(lines.compactMap(\.target)).sorted()
      var text = ""
      var index = 0
      while index < lines.count {
        let line = lines[index]
        let mark = targets.firstIndex(of: line.offset).map { "L\($0):" } ?? ""
        if let (exit, count) = exit(lines[index...]), !lines[(index + 1)..<(index + count)].contains(where: { targets.contains($0.offset) })
        {
          text += "\(mark)\t\(exit)\n"
          index += count
          continue
        }
        let target = line.target.map { at in targets.firstIndex(of: at).map { " L\($0)" } ?? "" } ?? ""
        text += "\(mark)\t\(line.text)\(target)\n"
        index += 1
      }
      return text
    }

    /// The instructions that leave to the run loop at a place of the block's page, said in a word; how many they are.
    private func exit(_ lines: ArraySlice<HostDisassembler.Line>) -> (String, Int)? {
      let texts = lines.prefix(4).map(\.text)
      guard texts.count == 4, texts[0].hasPrefix("mov dword [link_slot], "), texts[1] == "mov r14, qword [page_rip]",
        texts[2].hasPrefix("lea r14, [r14 + 0x"), texts[3] == "jmp exitAt", let at = Int(texts[2].dropFirst(18).dropLast(), radix: 16)
      else { return nil }
      let then = texts[0].hasSuffix(" 0") ? "" : texts[0].hasSuffix(" link") ? ", to be linked" : ", for the interpreter"
      return ("exit at +\(at - 0x100)" + then, 4)
    }

    func listing(_ encoding: GoldenEncoding) -> (String, Bool) {
      let bytes = encoding.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      let name = "\(encoding.instruction)  [\(bytes)]"
      guard let lines = translate(encoding.bytes, encoding.instruction) else { return (name + ": interpreter\n", false) }
      return ("\(name): \(lines.count)\n" + render(lines), true)
    }
  }
}
