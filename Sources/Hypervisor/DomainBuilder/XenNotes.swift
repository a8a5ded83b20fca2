/// What a PV kernel says of itself in ELF notes named "Xen" (xen/include/public/elfnote.h), or in the older text section
/// `__xen_guest`.
public struct XenNotes: Sendable, Equatable {
  public var guestOS = ""
  public var guestVersion = ""
  public var xenVersion = ""
  public var loader = ""
  public var paeMode = ""
  /// "feature|!required-feature|…".
  public var features = ""
  /// Virtual address of pseudo-physical address 0 in the initial mapping.
  public var virtualBase: UInt64 = 0
  /// What to subtract from a program header's physical address to get a pseudo-physical address.
  public var physicalOffset: UInt64 = 0
  /// First instruction, a virtual address.
  public var entry: UInt64 = 0
  /// Virtual address of a page to fill with hypercall stubs.
  public var hypercallPage: UInt64?
  /// Where the P2M list is to be mapped; nil: in the initial mapping, after the kernel.
  public var initialP2M: UInt64?
  /// The ramdisk may lie outside the initial mapping, named by frame number.
  public var moduleByFrame = false
  /// The guest understands that a suspend may be cancelled.
  public var suspendCancel = false
  public var hypervisorStartLow: UInt64?
  /// A level-1 entry holds a machine frame if `entry & mask == value`.
  public var l1Valid: (mask: UInt64, value: UInt64) = (1, 1)
  public var supportedFeatures: UInt64 = 0
  /// Entry of a PVH guest, physical.
  public var physical32Entry: UInt64?
  /// Came from `__xen_guest`, not from notes.
  public var isLegacy = false

  private var hasEntry = false
  private var hasPhysicalOffset = false

  public static func == (a: XenNotes, b: XenNotes) -> Bool {
    a.guestOS == b.guestOS && a.guestVersion == b.guestVersion && a.xenVersion == b.xenVersion && a.loader == b.loader
      && a.paeMode == b.paeMode && a.features == b.features && a.virtualBase == b.virtualBase
      && a.physicalOffset == b.physicalOffset && a.entry == b.entry && a.hypercallPage == b.hypercallPage
      && a.initialP2M == b.initialP2M && a.moduleByFrame == b.moduleByFrame && a.suspendCancel == b.suspendCancel
      && a.hypervisorStartLow == b.hypervisorStartLow && a.l1Valid == b.l1Valid
      && a.supportedFeatures == b.supportedFeatures && a.physical32Entry == b.physical32Entry && a.isLegacy == b.isLegacy
  }

  public init() {}

  /// Finds the notes of an ELF file: in its note segments, else in its note sections, else in `__xen_guest`.
  init(_ elf: ElfFile) throws(KernelImageError) {
    var found = false
    for segment in elf.segments where segment.type == ElfFile.noteSegment {
      if try readNotes(elf.bytes, segment.offset, segment.fileSize, segment.alignment) { found = true }
    }
    if !found {
      for section in elf.sections where section.type == ElfFile.noteSection {
        if try readNotes(elf.bytes, section.offset, section.size, section.alignment) { found = true }
      }
    }
    if !found, let section = elf.sections.first(where: { $0.name == "__xen_guest" && $0.type != 8 }) {
      readLegacy(elf.bytes.text(at: Int(section.offset), limit: Int(section.size)))
      found = true
    }
    guard found else { throw .noXenNotes }
    // Older builders had the physical addresses in the ELF header include the virtual base.
    if !hasPhysicalOffset { physicalOffset = isLegacy ? virtualBase : 0 }
    if !hasEntry { entry = elf.entry }
    guard loader.isEmpty || loader == "generic" else { throw .unsupported("the loader \"\(loader)\" (note LOADER)") }
    guard xenVersion.isEmpty || xenVersion == "xen-3.0" else {
      throw .unsupported("the interface \"\(xenVersion)\" (note XEN_VERSION)")
    }
  }

  /// Reads the notes of a segment or section; returns whether any was Xen's.
  private mutating func readNotes(
    _ bytes: [UInt8], _ offset: UInt64, _ size: UInt64, _ alignment: UInt64
  ) throws(KernelImageError) -> Bool {
    var at = Int(offset)
    let end = at + Int(size)
    let unit = alignment == 8 ? 8 : 4
    func rounded(_ n: UInt32) -> Int { (Int(n) + unit - 1) & -unit }
    var found = false
    while end - at >= 12 {
      guard let nameSize = bytes.little(UInt32.self, at: at), let valueSize = bytes.little(UInt32.self, at: at + 4),
        let type = bytes.little(UInt32.self, at: at + 8)
      else { break }
      let name = at + 12
      let value = unit == 8 ? (name + Int(nameSize) + 7) & -8 : name + rounded(nameSize)
      guard value <= end, Int(valueSize) <= end - value else {
        throw .malformed("the ELF note at byte \(at) of the kernel runs over the end of its segment")
      }
      if nameSize == 4, bytes[name..<name + 4].elementsEqual([0x58, 0x65, 0x6E, 0]) {
        found = true
        take(type: type, Array(bytes[value..<value + Int(valueSize)]))
      }
      at = value + rounded(valueSize)
    }
    return found
  }

  private mutating func take(type: UInt32, _ value: [UInt8]) {
    // A number is as long as its descriptor says.
    var number: UInt64 = 0
    for (index, byte) in value.prefix(8).enumerated() { number |= UInt64(byte) << UInt64(8 * index) }
    let text = value.text(at: 0, limit: value.count)
    switch type {
    case 1: (entry, hasEntry) = (number, true)
    case 2: hypercallPage = number
    case 3: virtualBase = number
    case 4: (physicalOffset, hasPhysicalOffset) = (number, true)
    case 5: xenVersion = text
    case 6: guestOS = text
    case 7: guestVersion = text
    case 8: loader = text
    case 9: paeMode = text
    case 10: features = text
    case 12: hypervisorStartLow = number
    case 13: l1Valid = (number, value.little(UInt64.self, at: 8) ?? number)
    case 14: suspendCancel = number != 0
    case 15: initialP2M = number
    case 16: moduleByFrame = number != 0
    case 17: supportedFeatures = number
    case 18: physical32Entry = number
    default: break
    }
  }

  /// "GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,…"
  private mutating func readLegacy(_ text: String) {
    isLegacy = true
    var page: UInt64?
    for item in text.split(separator: ",") {
      let parts = item.split(separator: "=", maxSplits: 1)
      guard let key = parts.first else { continue }
      let value = parts.count > 1 ? String(parts[1]) : ""
      let number = value.hasPrefix("0x") ? UInt64(value.dropFirst(2), radix: 16) : UInt64(value)
      switch key {
      case "GUEST_OS": guestOS = value
      case "GUEST_VER": guestVersion = value
      case "XEN_VER": xenVersion = value
      case "LOADER": loader = value
      case "PAE": paeMode = value.isEmpty ? "yes" : value
      case "FEATURES": features = value
      case "VIRT_BASE": virtualBase = number ?? 0
      case "VIRT_ENTRY": (entry, hasEntry) = (number ?? 0, number != nil)
      case "ELF_PADDR_OFFSET": (physicalOffset, hasPhysicalOffset) = (number ?? 0, number != nil)
      case "INIT_P2M": initialP2M = number
      case "HYPERCALL_PAGE": page = number
      default: break
      }
    }
    // Here the hypercall page is a page number from the virtual base.
    if let page { hypercallPage = page < 1 << 36 ? virtualBase &+ page << 12 : page }
  }
}
