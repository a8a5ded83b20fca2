import CHost
import GuestMemory
import Testing

@testable import Processor

/// Walks in every paging mode, and who may do what.
@Suite struct PagingModeTests {
  let memory: MachineMemory
  let vcpu: VCPU
  var cpu: CPU { vcpu.cpu }

  init() throws {
    memory = try MachineMemory(frameCount: 1024)
    vcpu = VCPU(memory: memory)
    cpu.pointee.cr0 = 0x11
    vcpu.ownPageTables(physicalBits: 40)
  }

  enum Mode: CaseIterable { case none, two, pae, long }

  func enter(_ mode: Mode, cr4: UInt64 = 0, efer: UInt64 = 0, cr0: UInt64 = 0x1_0011) {
    cpu.pointee.cr0 = cr0 | (mode == .none ? 0 : 1 << 31)
    cpu.pointee.cr4 = cr4 | (mode == .pae || mode == .long ? 0x20 : 0)
    cpu.pointee.efer = efer | (mode == .long ? 0x500 : 0)
    cpu.pointee.cr3 = 0x1000
    vcpu.pagingControlsChanged()
  }

  /// Address, or error code, of an access.
  func walk(_ linear: UInt64, _ access: Access = .read, _ who: Requester = .supervisor) -> (UInt64?, UInt32?) {
    let walk = vcpu.walkOwn(linear, access, who)
    #expect(!walk.nonCanonical)
    return walk.errorCode == nil ? (walk.address, nil) : (nil, walk.errorCode)
  }

  @Test func withoutPagingAddressesAreThemselves() {
    enter(.none)
    #expect(walk(0x12_3456, .write, .user) == (0x12_3456, nil))
    #expect(walk(0x1_FFFF_FFF0) == (0xFFFF_FFF0, nil))
    vcpu.a20Enabled = false
    #expect(walk(0x12_3456) == (0x2_3456, nil) && walk(0xFFFF_FFF0) == (0xFFEF_FFF0, nil))
    vcpu.a20Enabled = true
    #expect(walk(0x12_3456) == (0x12_3456, nil))
  }

  @Test func lineTwentyGoesForTablesToo() {
    enter(.two)
    memory.store(UInt32(0x10_2007), at: 0x1000)
    memory.store(UInt32(0x5007), at: 0x2000)
    memory.store(UInt32(0x6007), at: 0x10_2000)
    #expect(walk(0x123) == (0x6123, nil))
    vcpu.a20Enabled = false
    #expect(walk(0x123) == (0x5123, nil))
  }

  @Test func twoLevels() {
    enter(.two)
    memory.store(UInt32(0x2007), at: 0x1000 + 4 * 0x3FF)
    memory.store(UInt32(0x5_5007), at: 0x2000 + 4 * 0x3FE)
    #expect(walk(0xFFFF_E123, .write) == (0x5_5123, nil))
    #expect(memory.load(0x1FFC, as: UInt32.self) == 0x2027 && memory.load(0x2FF8, as: UInt32.self) == 0x5_5067)
    #expect(walk(0xFFFF_F000) == (nil, 0) && walk(0, .write, .user) == (nil, 6))
    // Without CR4.PSE bit 7 says nothing; with it the entry maps 4 MiB, bits 20:13 being address bits 39:32.
    memory.store(UInt32(0x7007), at: 0x2000 + 4 * 1)
    memory.store(UInt32(0x2087), at: 0x1000)
    #expect(walk(0x1000) == (0x7000, nil))
    enter(.two, cr4: 0x10)
    memory.store(UInt32(0x0040_0087 | 0xAB << 13), at: 0x1000)
    #expect(walk(0x12_3456) == (0xAB_0052_3456, nil))
    memory.store(UInt32(0x0060_0087), at: 0x1000)
    #expect(walk(0x12_3456) == (nil, 9), "bit 21")
    cpu.pointee.physical_bits = 36
    memory.store(UInt32(0x0040_0087 | 0x10 << 13), at: 0x1000)
    #expect(walk(0x12_3456, .write, .user) == (nil, 15), "beyond MAXPHYADDR")
    memory.store(UInt32(0x0040_0087 | 0xF << 13), at: 0x1000)
    #expect(walk(0x12_3456) == (0xF_0052_3456, nil))
  }

  @Test func physicalAddressExtension() {
    enter(.pae, efer: 0x800)
    cpu.pointee.cr3 = 0x1FE0
    memory.store(UInt64(0x2001), at: 0x1FE0 + 3 * 8)
    memory.store(UInt64(0x3007), at: 0x2000 + 8 * 5)
    memory.store(UInt64(0x12_3456_7007) | 1 << 63, at: 0x3000 + 8 * 7)
    let linear: UInt64 = 3 << 30 | 5 << 21 | 7 << 12 | 0x89
    #expect(walk(linear, .read, .user) == (0x12_3456_7089, nil))
    #expect(walk(linear, .fetch, .user) == (nil, 0x15))
    #expect(walk(linear & 0x3FFF_FFFF) == (nil, 0))
    // What other modes ignore is reserved here.
    memory.store(UInt64(0x7007) | 1 << 58, at: 0x3000 + 8 * 7)
    #expect(walk(linear) == (nil, 9))
    memory.store(UInt64(0x20_0087), at: 0x2000 + 8 * 5)
    #expect(walk(linear) == (0x20_7089, nil))
    memory.store(UInt64(0x20_2087), at: 0x2000 + 8 * 5)
    #expect(walk(linear) == (nil, 9))
    memory.store(UInt64(0x20_0087), at: 0x2000 + 8 * 5)
    #expect(vcpu.pageDirectoryPointersFit(0x1FE0))
    for bad in [2, 4, 0x20, 0x80, 0x100, 1 << 40, 1 << 63] as [UInt64] {
      memory.store(0x2001 | bad, at: 0x1FE0 + 3 * 8)
      #expect(walk(linear) == (nil, 9) && !vcpu.pageDirectoryPointersFit(0x1FE0), "\(bad)")
    }
    memory.store(UInt64(0x2000 | 2), at: 0x1FE0 + 3 * 8)
    #expect(vcpu.pageDirectoryPointersFit(0x1FE0))
    // No NX: the bit is reserved, and a fetch is told from a read no more.
    enter(.pae)
    cpu.pointee.cr3 = 0x1FE0
    memory.store(UInt64(0x2001), at: 0x1FE0 + 3 * 8)
    memory.store(UInt64(0x20_0087) | 1 << 63, at: 0x2000 + 8 * 5)
    #expect(walk(linear, .fetch) == (nil, 9))
    #expect(walk(0, .fetch, .user) == (nil, 4))
  }

  @Test func fourLevels() {
    enter(.long, efer: 0x800)
    let upper: UInt64 = 0xFFFF_8000_0000_0000
    memory.store(UInt64(0x2007), at: 0x1000 + 8 * 256)
    memory.store(UInt64(0x3007), at: 0x2000)
    memory.store(UInt64(0x4007), at: 0x3000)
    memory.store(UInt64(0x9_9007) | 0x7F << 52, at: 0x4000 + 8 * 3)
    #expect(walk(upper + 0x3010) == (0x9_9010, nil))
    memory.store(UInt64(0x1_4000_0087), at: 0x2000 + 8)
    #expect(walk(upper + 0x4567_89AB) == (0x1_4567_89AB, nil))
    memory.store(UInt64(0x1_5000_0087), at: 0x2000 + 8)
    #expect(walk(upper + 0x4567_89AB) == (nil, 9))
    memory.store(UInt64(0x40_0087), at: 0x3000 + 8)
    #expect(walk(upper + 0x2F_FFFF) == (0x4F_FFFF, nil))
    memory.store(UInt64(0x2087), at: 0x1000 + 8 * 256)
    #expect(walk(upper) == (nil, 9))
    memory.store(UInt64(0x2007) | 1 << 40, at: 0x1000 + 8 * 256)
    #expect(walk(upper) == (nil, 9))
    // A table beyond the memory reads as ones, which have reserved bits.
    memory.store(UInt64(0xFF_FFFF_F007), at: 0x1000 + 8 * 256)
    #expect(walk(upper) == (nil, 9))
    for linear in [1 << 47, upper - 1, 1 << 63] as [UInt64] { #expect(vcpu.walkOwn(linear, .read, .supervisor).nonCanonical) }
  }

  /// Every combination of rights, against the manual's rules as they read.
  @Test func rights() {
    for combination in 0..<1 << 12 {
      func flag(_ n: Int) -> Bool { combination >> n & 1 != 0 }
      let (user, writable, noExecute) = (flag(0), flag(1), flag(2))
      let (wp, smep, smap, ac) = (flag(3), flag(4), flag(5), flag(6))
      let (upperUser, upperWritable) = (flag(7), flag(8))
      let who: Requester = flag(9) ? .user : flag(10) ? .system : .supervisor
      let accesses: [Access] = flag(11) ? [.write] : [.read, .fetch]
      enter(.long, cr4: (smep ? 1 << 20 : 0) | (smap ? 1 << 21 : 0), efer: 0x800, cr0: wp ? 0x1_0011 : 0x11)
      cpu.pointee.rflags = ac ? 0x4_0002 : 2
      memory.store(UInt64(0x2007), at: 0x1000)
      memory.store(0x3001 | (upperUser ? 4 : 0) | (upperWritable ? 2 : 0) as UInt64, at: 0x2000)
      memory.store(UInt64(0x4007), at: 0x3000)
      memory.store(0x5001 | (user ? 4 : 0) | (writable ? 2 : 0) | (noExecute ? 1 << 63 : 0) as UInt64, at: 0x4000)
      let userPage = user && upperUser
      let mayWrite = writable && upperWritable
      for access in accesses {
        var allowed: Bool
        if who == .user {
          allowed = userPage
          if access == .write && !mayWrite { allowed = false }
        } else {
          allowed = true
          if access == .write && wp && !mayWrite { allowed = false }
          if access == .fetch && smep && userPage { allowed = false }
          if access != .fetch && smap && userPage && (who == .system || !ac) { allowed = false }
        }
        if access == .fetch && noExecute { allowed = false }
        let code: UInt32 = 1 | (access == .write ? 2 : 0) | (who == .user ? 4 : 0) | (access == .fetch ? 0x10 : 0)
        #expect(walk(0x10, access, who) == (allowed ? 0x5010 : nil, allowed ? nil : code), "\(combination)")
        if combination.isMultiple(of: 5) {
          // The dirty bit is a write's, and only a page that is dirty is entered to be written.
          let entry = memory.load(0x4000, as: UInt64.self) ?? 0
          #expect((entry & 0x40 != 0) == (allowed && access == .write))
          let again = vcpu.walkOwn(0x10, access, who)
          if allowed { #expect(again.writableNow == (access == .write)) }
        }
      }
    }
  }
}
