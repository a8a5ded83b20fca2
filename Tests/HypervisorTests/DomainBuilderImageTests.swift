import Random
import Testing

@testable import Hypervisor

/// Kernel files: what is read from good ones, and what is said of bad ones.
struct DomainBuilderImageTests {
  let elf = SampleKernel.small()

  private func failure(_ bytes: [UInt8]) -> KernelImageError? {
    do throws(KernelImageError) {
      _ = try KernelImage.load(bytes)
      return nil
    } catch { return error }
  }

  @Test func theNotesOfALinuxKernelAreRead() throws {
    let image = try KernelImage.load(elf)
    #expect(image.notes.guestOS == "linux")
    #expect(image.notes.guestVersion == "2.6")
    #expect(image.notes.xenVersion == "xen-3.0")
    #expect(image.notes.virtualBase == 0xFFFF_FFFF_8000_0000)
    #expect(image.notes.entry == 0xFFFF_FFFF_8010_0010)
    #expect(image.notes.initialP2M == 0x80_0000_0000)
    #expect(image.notes.moduleByFrame)
    #expect(image.notes.suspendCancel)
    #expect(image.notes.features == "!writable_page_tables|pae_pgdir_above_4gb")
    #expect(image.notes.supportedFeatures == 0x8801)
    #expect(image.notes.hypervisorStartLow == 0xFFFF_8000_0000_0000)
    #expect(image.notes.hypercallPage == nil)
    #expect(image.start == 0x100000)
    #expect(image.end == 0x105000)
  }

  @Test func everyPackagingGivesTheSameKernel() throws {
    let bare = try KernelImage.load(elf)
    let samples: [(String, [UInt8], [String])] = [
      ("gzip'd ELF", SampleKernel.gzip(elf), ["gzip"]),
      ("bzImage, gzip", SampleKernel.bzImage(payload: SampleKernel.gzip(elf)), ["bzImage", "gzip"]),
      ("bzImage, zstd", SampleKernel.bzImage(payload: SampleKernel.zstd(elf)), ["bzImage", "Zstandard"]),
      ("bzImage, lz4", SampleKernel.bzImage(payload: SampleKernel.lz4Legacy(elf)), ["bzImage", "LZ4 (legacy frame)"]),
      ("bzImage, 4 sectors by default", SampleKernel.bzImage(payload: SampleKernel.gzip(elf), sectors: 0), ["bzImage", "gzip"]),
      ("bzImage, not compressed", SampleKernel.bzImage(payload: elf), ["bzImage"]),
    ]
    for (name, bytes, packaging) in samples {
      let image = try KernelImage.load(bytes)
      #expect(image.notes == bare.notes, "\(name)")
      #expect(image.parts == bare.parts, "\(name)")
      #expect(image.elf.prefix(elf.count) == elf[...], "\(name)")
      #expect(image.packaging == packaging, "\(name)")
    }
  }

  @Test func segmentsLoadByPhysicalAddress() throws {
    // Linux's per-CPU segment has virtual address 0.
    let image = try KernelImage.load(
      SampleKernel.elf(
        [
          .init(address: 0x1000000, bytes: [1, 2, 3]), .init(address: 0x1001000, bytes: [4], memorySize: 9, virtualAddress: 0),
        ], notes: SampleKernel.notes(entry: SampleKernel.virtualBase + 0x1000000)))
    #expect(image.parts.map(\.address) == [0x1000000, 0x1001000])
    #expect(image.end == 0x1001009)
  }

  @Test func notesAreFoundInSectionsAndInTheOldTextSection() throws {
    let base = SampleKernel.virtualBase
    let segment = SampleKernel.Segment(address: 0x100000, bytes: [0x90])
    let noted = try KernelImage.load(
      SampleKernel.elf([segment], notes: nil, sections: [(".notes", 7, SampleKernel.notes(entry: base + 0x100000))]))
    #expect(noted.notes.entry == base + 0x100000)
    let text =
      "GUEST_OS=netbsd,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,ELF_PADDR_OFFSET=0x0,"
      + "VIRT_ENTRY=0xffffffff80100000,PAE=yes,LOADER=generic"
    let legacy = try KernelImage.load(
      SampleKernel.elf([segment], notes: nil, sections: [("__xen_guest", 1, SampleKernel.text(text))]))
    #expect(legacy.notes.isLegacy)
    #expect(legacy.notes.guestOS == "netbsd")
    #expect(legacy.notes.entry == base + 0x100000)
    // Without an offset the header's physical addresses include the base.
    let withBase = SampleKernel.Segment(address: 0x40_0000_0000, bytes: [0x90], virtualAddress: 0x40_0000_0000)
    let old = try KernelImage.load(
      SampleKernel.elf(
        [withBase], notes: nil,
        sections: [("__xen_guest", 1, SampleKernel.text("VIRT_BASE=0x4000000000,VIRT_ENTRY=0x4000000000,HYPERCALL_PAGE=0x0"))]))
    #expect(old.start == 0)
    #expect(old.notes.hypercallPage == 0x40_0000_0000)
  }

  @Test func foreignNotesAreSkipped() throws {
    let notes =
      SampleKernel.note(3, [1, 2, 3, 4, 5], name: "GNU") + SampleKernel.note(1, [9], name: "XenX")
      + SampleKernel.notes(entry: SampleKernel.virtualBase + 0x100000)
    let image = try KernelImage.load(SampleKernel.elf([.init(address: 0x100000, bytes: [0x90])], notes: notes))
    #expect(image.notes.entry == SampleKernel.virtualBase + 0x100000)
  }

  @Test func badFilesAreNamed() {
    let segment = SampleKernel.Segment(address: 0x100000, bytes: [0x90])
    let notes = SampleKernel.notes(entry: SampleKernel.virtualBase + 0x100000)
    #expect(failure([]) == .empty)
    #expect(failure(Array("#!/bin/sh\n".utf8)) == .foreign("a script"))
    #expect(failure(Array("hello there\n".utf8)) == .foreign("a text file"))
    #expect(failure([0x51, 0x46, 0x49, 0xFB] + [UInt8](repeating: 0, count: 600)) == .foreign("a qcow2 disk image"))
    #expect(failure(SampleKernel.gzip(Array("070701…".utf8))) == .foreign("a cpio archive (a ramdisk), compressed with gzip"))
    #expect(failure(SampleKernel.elf([segment], notes: nil)) == .noXenNotes)
    #expect(failure(SampleKernel.elf([segment], notes: SampleKernel.note(1, [1], name: "GNU"))) == .noXenNotes)
    #expect(failure(SampleKernel.elf([segment], notes: notes, machine: 3, wide: 1)) == .notX86_64("a 32-bit x86 (i386) kernel"))
    #expect(
      failure(SampleKernel.elf([segment], notes: notes, machine: 183)) == .notX86_64("built for another processor (AArch64)"))
    #expect(failure(SampleKernel.elf([segment], notes: notes, type: 1)) == .foreign("an ELF object file or kernel module"))
    #expect(failure(SampleKernel.elf([], notes: notes)) == .malformed("it has no loadable segment"))
    let packed = SampleKernel.bzImage(payload: SampleKernel.gzip(elf))
    guard case .truncated(let what, _, _)? = failure(Array(packed.prefix(packed.count / 2))) else {
      Issue.record("a truncated bzImage was taken")
      return
    }
    #expect(what == "the compressed kernel")
    guard case .compressed? = failure(SampleKernel.bzImage(payload: Array(SampleKernel.gzip(elf).dropLast(300)))) else {
      Issue.record("a truncated payload was taken")
      return
    }
    guard case .unsupported? = failure(SampleKernel.bzImage(payload: SampleKernel.gzip(elf), version: 0x0207)) else {
      Issue.record("an old boot protocol was taken")
      return
    }
    for error in [KernelImageError.empty, .noXenNotes, .foreign("a script"), .truncated(what: "x", needed: 2, size: 1)] {
      // What is wrong; how to mend it.
      #expect("\(error)".contains(";") || "\(error)".contains(","), "\(error)")
    }
  }

  @Test func addressesThatCannotBeAreRefused() {
    let segment = SampleKernel.Segment(address: 0x100000, bytes: [0x90])
    let base = SampleKernel.virtualBase
    func with(_ extra: [UInt8]) -> KernelImageError? {
      failure(SampleKernel.elf([segment], notes: SampleKernel.notes(entry: base + 0x100000) + extra))
    }
    let bad: [(String, [UInt8])] = [
      ("entry outside", SampleKernel.note(1, SampleKernel.little(base + 0x200000))),
      ("base in Xen's hole", SampleKernel.note(3, SampleKernel.little(UInt64(0xFFFF_8000_0000_0000)))),
      ("base not canonical", SampleKernel.note(3, SampleKernel.little(UInt64(0x1234_0000_0000_0000)))),
      ("base at the very end", SampleKernel.note(3, SampleKernel.little(UInt64(0xFFFF_FFFF_FFFF_F000)))),
      ("hypercall page not aligned", SampleKernel.note(2, SampleKernel.little(base + 0x100008))),
      ("hypercall page outside", SampleKernel.note(2, SampleKernel.little(base))),
      ("P2M over the kernel", SampleKernel.note(15, SampleKernel.little(base))),
      ("P2M not aligned", SampleKernel.note(15, SampleKernel.little(UInt64(0x80_0000_0001)))),
    ]
    for (name, extra) in bad {
      guard case .malformed? = with(extra) else {
        Issue.record("\(name) was taken")
        continue
      }
    }
    guard case .unsupported? = with(SampleKernel.note(8, SampleKernel.text("special"))) else {
      Issue.record("another loader was taken")
      return
    }
  }

  @Test func damagedFilesNeverTrap() {
    var random = SeededRandom(seed: 1)
    let originals = [elf, SampleKernel.bzImage(payload: SampleKernel.gzip(elf)), SampleKernel.small(linux: false, hypercallPage: true)]
    for original in originals {
      for cut in stride(from: 0, to: original.count, by: 37) { _ = failure(Array(original.prefix(cut))) }
      for _ in 0..<600 {
        var bytes = original
        // Headers and notes are where damage bites.
        for _ in 0...random.below(4) {
          let near = random.next() & 1 == 0 ? UInt64(min(700, bytes.count)) : UInt64(bytes.count)
          bytes[Int(random.below(near))] = UInt8(truncatingIfNeeded: random.next() & 1 == 0 ? random.next() : 0xFF)
        }
        _ = failure(bytes)
      }
    }
  }
}
