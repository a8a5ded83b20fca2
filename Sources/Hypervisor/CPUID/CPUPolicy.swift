/// The processor that the guest sees: an Intel-branded model of one of the psABI's levels, the same on every host.
///
/// CPUID is a pure function of this value and of what the instruction itself depends on (XCR0, CR4.OSXSAVE). A PV guest's
/// features are those of the model within Xen's mask for PV.
public struct CPUPolicy: Sendable, Equatable, Codable {
  /// x86-64-v1...v3 of the psABI, or all that the processor executes.
  public enum Level: Int, Sendable, Codable, CaseIterable {
    case v1 = 1, v2, v3, max
    public var name: String { self == .max ? "max" : "v\(rawValue)" }
  }

  public enum ParseError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownLevel(String)
    case unknownFeature(String)
    /// What follows a comma is neither +FEATURE nor -FEATURE.
    case notAToggle(String)

    public var description: String {
      switch self {
      case .unknownLevel(let name): "'\(name)' is no level: say v1, v2, v3 or max"
      case .unknownFeature(let name): "'\(name)' is no feature that can be chosen"
      case .notAToggle(let text): "'\(text)' is neither +FEATURE nor -FEATURE"
      }
    }
  }

  public let level: Level
  /// Feature bits by `CPUFeature.Word`, what a guest on bare hardware would see.
  private(set) var words: [UInt32]

  /// Microcode revision that the model claims.
  static let microcodeRevision: UInt32 = 0x2B00_0000
  /// IA32_ARCH_CAPABILITIES: nothing speculates here, so none of the known flaws is there: RDCL_NO, IBRS_ALL,
  /// SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO,
  /// RFDS_NO, ITS_NO.
  static let architecturalCapabilities: UInt64 = 0x4000_0000_0D10_E17B

  public init(level: Level) {
    self.level = level
    words = [UInt32](repeating: 0, count: CPUFeature.Word.allCases.count)
    for row in CPUFeatureTable.rows where row.level <= level.rawValue { set(row.feature, true) }
  }

  /// `LEVEL[,±FEATURE…]`. A feature brings what it needs, and takes along what needs it.
  public init(parsing text: String) throws(ParseError) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    let name = parts.first ?? ""
    guard let level = Level.allCases.first(where: { $0.name == name }) else { throw .unknownLevel(name) }
    self.init(level: level)
    for part in parts.dropFirst() {
      let feature = String(part.dropFirst())
      switch part.first {
      case "+": try enable(feature)
      case "-": try disable(feature)
      default: throw .notAToggle(part)
      }
    }
  }

  /// Names of the features that can be toggled.
  public static var featureNames: [String] { CPUFeatureTable.rows.map(\.name) }

  /// Whether the model has a feature.
  @inline(__always) func has(_ feature: CPUFeature) -> Bool { words[Int(feature.word.rawValue)] >> UInt32(feature.bit) & 1 != 0 }

  /// A word of feature bits, without Xen's mask for PV guests.
  public func features(_ word: CPUFeature.Word) -> UInt32 { words[Int(word.rawValue)] }

  /// Whether the model has a feature, by name; false for a name that is none.
  public func has(_ name: String) -> Bool { CPUFeatureTable.row(name).map { has($0.feature) } ?? false }

  private mutating func set(_ feature: CPUFeature, _ on: Bool) {
    let bit = UInt32(1) << UInt32(feature.bit)
    if on { words[Int(feature.word.rawValue)] |= bit } else { words[Int(feature.word.rawValue)] &= ~bit }
  }

  private mutating func enable(_ name: String) throws(ParseError) {
    guard let row = CPUFeatureTable.row(name) else { throw .unknownFeature(name) }
    for needed in row.needs { try enable(needed) }
    set(row.feature, true)
  }

  private mutating func disable(_ name: String) throws(ParseError) {
    guard let row = CPUFeatureTable.row(name) else { throw .unknownFeature(name) }
    set(row.feature, false)
    for other in CPUFeatureTable.rows where other.needs.contains(row.name) && has(other.feature) { try disable(other.name) }
  }

  /// State components that XCR0 may enable: x87, SSE, and AVX where it is.
  public var supportedXCR0: UInt64 { has(.xsave) ? has(.avx) ? 7 : 3 : 0 }

  /// Whether XSETBV takes a value (Intel SDM volume 1, 13.3).
  func allowsXCR0(_ value: UInt64) -> Bool {
    guard value & ~supportedXCR0 == 0, value & 1 != 0 else { return false }
    return value & 4 == 0 || value & 2 != 0
  }
}
