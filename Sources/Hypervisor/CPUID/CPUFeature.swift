/// A feature bit of CPUID: the word it is in and its bit there.
public struct CPUFeature: Hashable, Sendable, Codable {
  /// The registers that hold feature bits.
  public enum Word: UInt8, CaseIterable, Sendable, Codable {
    case leaf1EDX, leaf1ECX, extended1EDX, extended1ECX, leaf7EBX, leaf7ECX, leaf7EDX, leafD1EAX, extended7EDX
  }
  public var word: Word
  public var bit: UInt8

  init(_ word: Word, _ bit: UInt8) {
    self.word = word
    self.bit = bit
  }

  static let osxsave = CPUFeature(.leaf1ECX, 27)
  static let hypervisor = CPUFeature(.leaf1ECX, 31)
  static let xsave = CPUFeature(.leaf1ECX, 26)
  static let avx = CPUFeature(.leaf1ECX, 28)
  static let fsgsbase = CPUFeature(.leaf7EBX, 0)
  static let rdtscp = CPUFeature(.extended1EDX, 27)
  static let ibrs = CPUFeature(.leaf7EDX, 26)
  static let archCapabilities = CPUFeature(.leaf7EDX, 29)
}

/// The features there are, by name.
///
/// Columns: name (as in /proc/cpuinfo), word, bit, the first level that has it (1...3, 4 for `max`, 5 for none: only when
/// asked for), what it needs. Only what the processor executes is listed.
enum CPUFeatureTable {
  static let text = """
    fpu leaf1EDX 0 1
    de leaf1EDX 2 1
    tsc leaf1EDX 4 1
    msr leaf1EDX 5 1
    pae leaf1EDX 6 1
    mce leaf1EDX 7 1
    cx8 leaf1EDX 8 1
    apic leaf1EDX 9 1
    sep leaf1EDX 11 1
    cmov leaf1EDX 15 1
    pat leaf1EDX 16 1
    clflush leaf1EDX 19 1
    mmx leaf1EDX 23 1
    fxsr leaf1EDX 24 1
    sse leaf1EDX 25 1 fxsr
    sse2 leaf1EDX 26 1 sse
    pni leaf1ECX 0 2 sse2
    pclmulqdq leaf1ECX 1 2 sse2
    ssse3 leaf1ECX 9 2 pni
    fma leaf1ECX 12 3 avx
    cx16 leaf1ECX 13 2
    sse4_1 leaf1ECX 19 2 ssse3
    sse4_2 leaf1ECX 20 2 sse4_1
    movbe leaf1ECX 22 3
    popcnt leaf1ECX 23 2
    aes leaf1ECX 25 2 sse2
    xsave leaf1ECX 26 3 fxsr
    avx leaf1ECX 28 3 xsave sse4_2
    f16c leaf1ECX 29 3 avx
    rdrand leaf1ECX 30 1
    syscall extended1EDX 11 1
    nx extended1EDX 20 1
    rdtscp extended1EDX 27 1
    lm extended1EDX 29 1
    lahf_lm extended1ECX 0 2
    abm extended1ECX 5 3
    3dnowprefetch extended1ECX 8 1
    fsgsbase leaf7EBX 0 1
    bmi1 leaf7EBX 3 3
    avx2 leaf7EBX 5 3 avx
    bmi2 leaf7EBX 8 3
    erms leaf7EBX 9 1
    rdseed leaf7EBX 18 1
    adx leaf7EBX 19 1
    smap leaf7EBX 20 5
    clflushopt leaf7EBX 23 4
    clwb leaf7EBX 24 4
    sha_ni leaf7EBX 29 2 ssse3
    rdpid leaf7ECX 22 4
    fsrm leaf7EDX 4 1
    serialize leaf7EDX 14 4
    ibrs leaf7EDX 26 5
    arch_capabilities leaf7EDX 29 5
    xsaveopt leafD1EAX 0 3 xsave
    xsavec leafD1EAX 1 3 xsave
    xgetbv1 leafD1EAX 2 3 xsave
    constant_tsc extended7EDX 8 1
    """

  struct Row: Sendable {
    var name: String
    var feature: CPUFeature
    var level: Int
    var needs: [String]
  }

  static let rows: [Row] = {
    var words: [String: CPUFeature.Word] = [:]
    for word in CPUFeature.Word.allCases { words["\(word)"] = word }
    var rows: [Row] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ").map(String.init)
      guard fields.count >= 4, let word = words[fields[1]], let bit = UInt8(fields[2]), let level = Int(fields[3]) else { continue }
      rows.append(Row(name: fields[0], feature: CPUFeature(word, bit), level: level, needs: Array(fields.dropFirst(4))))
    }
    return rows
  }()

  /// Other spellings of names.
  static let aliases: [String: String] = [
    "sse3": "pni", "sha": "sha_ni", "lzcnt": "abm", "pclmul": "pclmulqdq", "avx-2": "avx2", "sse4.1": "sse4_1", "sse4.2": "sse4_2",
    "lahf": "lahf_lm", "prefetchw": "3dnowprefetch", "invtsc": "constant_tsc",
  ]

  static func row(_ name: String) -> Row? {
    let lower = name.lowercased()
    let known = aliases[lower] ?? lower
    return rows.first { $0.name == known }
  }
}
