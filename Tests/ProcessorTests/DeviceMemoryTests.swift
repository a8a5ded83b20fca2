import CHost
import GuestMemory
import Testing

@testable import Processor

/// What the guest does to frames that are no RAM, on both engines.
@Suite struct DeviceMemoryTests {
  /// A device that remembers what was done to it, each with the cycle, and reads as address bytes.
  final class Device {
    struct Touch: Equatable {
      var write: Bool
      var address: UInt64
      var size: UInt32
      var value: UInt64
      var cycle: UInt64
    }
    var touches: [Touch] = []
    var whenTouched: (Touch) -> Void = { _ in }
    unowned let vcpu: VCPU

    init(_ machine: TestMachine) {
      vcpu = machine.vcpu
      machine.memory.bus = MemoryBus(
        context: Unmanaged.passUnretained(self).toOpaque(),
        read: { context, address, size in
          let device = Unmanaged<Device>.fromOpaque(context!).takeUnretainedValue()
          var value: UInt64 = 0
          for n in 0..<UInt64(size) { value |= ((address + n) & 0xFF) << (8 * n) }
          device.note(Touch(write: false, address: address, size: size, value: value, cycle: device.vcpu.now))
          return value
        },
        write: { context, address, size, value in
          let device = Unmanaged<Device>.fromOpaque(context!).takeUnretainedValue()
          device.note(Touch(write: true, address: address, size: size, value: value, cycle: device.vcpu.now))
        })
    }

    func note(_ touch: Touch) {
      touches.append(touch)
      whenTouched(touch)
    }
  }

  static let device: UInt64 = 0x80000

  /// A machine with a device at frames 80 and 81, ROM at 90 and nothing at A0, run in one engine.
  func machine(_ program: [UInt8], translating: Bool) throws -> (TestMachine, Device)? {
    let machine = try TestMachine(program + [0x0F, 5])
    if translating && !machine.vcpu.enableTranslator() { return nil }
    machine.vcpu.ownPageTables(physicalBits: 40)
    machine.memory.store(UInt64(0x1234_5678_9ABC_DEF0), at: 0x90000)
    machine.memory.copyIn([0x48, 0xFF, 0xC0, 0xC3], at: 0x90100)
    machine.memory.setKind(.device, frames: 0x80..<0x82)
    machine.memory.setKind(.rom, frames: 0x90..<0x91)
    machine.memory.setKind(.absent, frames: 0xA0..<0xA1)
    machine.cpu.pointee.gpr.3 = Self.device
    return (machine, Device(machine))
  }

  /// Runs a program some times, so that it gets translated; the touches of the last one.
  func touches(_ program: [UInt8], translating: Bool, _ prepare: (CPU) -> Void = { _ in }) throws -> [Device.Touch]? {
    guard let (machine, device) = try machine(program, translating: translating) else { return nil }
    var first: UInt64 = 0
    for _ in 0..<6 {
      device.touches = []
      machine.cpu.pointee.rip = TestMachine.code
      prepare(machine.cpu)
      first = machine.vcpu.now
      #expect(machine.vcpu.run(until: first + 100_000) == .syscall)
    }
    return device.touches.map {
      Device.Touch(write: $0.write, address: $0.address, size: $0.size, value: $0.value, cycle: $0.cycle - first)
    }
  }

  private func read(_ at: UInt64, _ size: UInt32, _ cycle: UInt64) -> Device.Touch {
    var value: UInt64 = 0
    for n in 0..<UInt64(size) { value |= ((at + n) & 0xFF) << (8 * n) }
    return Device.Touch(write: false, address: Self.device + at, size: size, value: value, cycle: cycle)
  }
  private func wrote(_ at: UInt64, _ size: UInt32, _ value: UInt64, _ cycle: UInt64) -> Device.Touch {
    Device.Touch(write: true, address: Self.device + at, size: size, value: value, cycle: cycle)
  }

  /// An access may take longer than what is left of the run, which then ends behind its instruction, in the middle of a block.
  @Test(arguments: [false, true]) func anAccessTakesTime(translating: Bool) throws {
    // nop; mov eax, [rbx]; inc rcx; inc rcx
    guard let (machine, device) = try machine([0x90, 0x8B, 3, 0x48, 0xFF, 0xC1, 0x48, 0xFF, 0xC1], translating: translating) else { return }
    device.whenTouched = { _ in machine.vcpu.advance(cycles: 500) }
    for _ in 0..<6 {
      machine.cpu.pointee.rip = TestMachine.code
      machine.cpu.pointee.gpr.1 = 0
      let (first, instructions) = (machine.vcpu.now, machine.vcpu.instructions)
      #expect(machine.vcpu.run(until: first + 400) == .deadline)
      #expect(machine.vcpu.now == first + 502)
      #expect(machine.vcpu.instructions == instructions + 2)
      #expect(machine.cpu.pointee.gpr.1 == 0)
      #expect(machine.vcpu.run(until: first + 100_000) == .syscall)
      #expect(machine.vcpu.now == first + 505)
    }
  }

  @Test(arguments: [false, true]) func everyAccessIsACall(translating: Bool) throws {
    // nop; mov eax, [rbx+16]; mov [rbx+3], al; nop; mov rcx, [rbx+0xFFD]; lock add [rbx], edx; xchg [rbx+8], dx
    let program: [UInt8] = [
      0x90, 0x8B, 0x43, 0x10, 0x88, 0x43, 3, 0x90, 0x48, 0x8B, 0x8B, 0xFD, 0x0F, 0, 0, 0xF0, 0x01, 0x13, 0x66, 0x87, 0x53, 8,
    ]
    guard let found = try touches(program, translating: translating, { $0.pointee.gpr.2 = 0x10 }) else { return }
    #expect(
      found == [
        read(0x10, 4, 2), wrote(3, 1, 0x10, 3), read(0xFFD, 2, 5), read(0xFFF, 1, 5), read(0x1000, 4, 5), read(0x1004, 1, 5), read(0, 4, 6),
        wrote(0, 4, 0x0302_0110, 6), read(8, 2, 7), wrote(8, 2, 0x10, 7),
      ])
  }

  @Test(arguments: [false, true]) func vectorsAndStackAreSplit(translating: Bool) throws {
    // movups xmm0, [rbx+0x10]; movups [rbx+0x20], xmm0; mov r8, rsp; lea rsp, [rbx+0x80]; push rax; pop rcx; mov rsp, r8
    let program: [UInt8] = [
      0x0F, 0x10, 0x43, 0x10, 0x0F, 0x11, 0x43, 0x20, 0x49, 0x89, 0xE0, 0x48, 0x8D, 0xA3, 0x80, 0, 0, 0, 0x50, 0x59, 0x4C, 0x89, 0xC4,
    ]
    guard let found = try touches(program, translating: translating, { $0.pointee.gpr.0 = 77 }) else { return }
    #expect(
      found == [
        read(0x10, 8, 1), read(0x18, 8, 1), wrote(0x20, 8, 0x1716_1514_1312_1110, 2), wrote(0x28, 8, 0x1F1E_1D1C_1B1A_1918, 2),
        wrote(0x78, 8, 77, 5), read(0x78, 8, 6),
      ])
  }

  @Test(arguments: [false, true]) func stringsGoElementByElement(translating: Bool) throws {
    // rep movsw; nop; rep stosd; lodsb
    let program: [UInt8] = [0xF3, 0x66, 0xA5, 0x90, 0x48, 0x89, 0xDF, 0xB9, 2, 0, 0, 0, 0xF3, 0xAB, 0x48, 0x89, 0xDE, 0xAC]
    let found = try touches(program, translating: translating) {
      ($0.pointee.gpr.1, $0.pointee.gpr.6, $0.pointee.gpr.7, $0.pointee.gpr.0) = (2, Self.device + 0x40, 0x2_0000, 5)
    }
    guard let found else { return }
    #expect(
      found == [read(0x40, 2, 1), read(0x42, 2, 2), wrote(0, 4, 5, 7), wrote(4, 4, 5, 8), read(0, 1, 11)])
  }

  @Test(arguments: [false, true]) func stateSavesReachTheDevice(translating: Bool) throws {
    // fxsave64 [rbx]
    guard let found = try touches([0x48, 0x0F, 0xAE, 3], translating: translating) else { return }
    #expect(found.count { $0.write && $0.size == 8 } == 64)
    #expect(found.first { $0.write }?.value ?? 0 & 0xFFFF == 0x37F)
  }

  /// A device that wants the processor's loop is given it right behind the instruction, wherever that stands.
  @Test(arguments: [false, true]) func theDeviceStopsTheProcessor(translating: Bool) throws {
    // inc rax; mov [rbx], al; inc rax; inc rax; rep stosb; cmp byte [rbx], 0; jz +0; inc rax
    let program: [UInt8] = [
      0x48, 0xFF, 0xC0, 0x88, 0x03, 0x48, 0xFF, 0xC0, 0x48, 0xFF, 0xC0, 0xF3, 0xAA, 0x80, 0x3B, 0, 0x74, 0, 0x48, 0xFF, 0xC0,
    ]
    guard let (machine, device) = try machine(program, translating: translating) else { return }
    for round in 0..<8 {
      let stopping = round & 1 == 1
      device.whenTouched = { _ in if stopping { machine.vcpu.stopAfterInstruction() } }
      device.touches = []
      (machine.cpu.pointee.rip, machine.cpu.pointee.gpr.0) = (TestMachine.code, 0)
      (machine.cpu.pointee.gpr.1, machine.cpu.pointee.gpr.7) = (2, Self.device + 0x100)
      let first = machine.vcpu.now
      var stops: [UInt64] = []
      var exit = machine.vcpu.run(until: first + 1000)
      while exit == .deadline && stops.count < 10 {
        stops += [machine.vcpu.now - first, machine.cpu.pointee.rip - TestMachine.code]
        exit = machine.vcpu.run(until: first + 1000)
      }
      #expect(exit == .syscall)
      #expect(machine.cpu.pointee.gpr.0 == 4)
      // Behind the store; in the middle of the repetition, which costs a cycle to begin again, and behind it; behind the comparison.
      #expect(stops == (stopping ? [2, 5, 6, 11, 8, 13, 9, 16] : []), "round \(round)")
      #expect(device.touches.map(\.cycle).map { $0 - first } == (stopping ? [2, 5, 7, 9] : [2, 5, 6, 8]), "round \(round)")
    }
  }

  @Test(arguments: [false, true]) func writesToROMAndNothingAreDropped(translating: Bool) throws {
    // mov rax, [rbx]; add [rbx], rax; mov rcx, [rbx]; mov rdx, [rsi]; mov [rsi], rdx; call r12
    let program: [UInt8] = [0x48, 0x8B, 3, 0x48, 1, 3, 0x48, 0x8B, 0x0B, 0x48, 0x8B, 0x16, 0x48, 0x89, 0x16, 0x41, 0xFF, 0xD4]
    let found = try touches(program, translating: translating) {
      ($0.pointee.gpr.3, $0.pointee.gpr.6, $0.pointee.gpr.12) = (0x90000, 0xA0000, 0x90100)
    }
    guard found != nil, let (machine, _) = try machine(program, translating: translating) else { return }
    for _ in 0..<6 {
      machine.cpu.pointee.rip = TestMachine.code
      (machine.cpu.pointee.gpr.3, machine.cpu.pointee.gpr.6, machine.cpu.pointee.gpr.12) = (0x90000, 0xA0000, 0x90100)
      #expect(machine.vcpu.run(until: machine.vcpu.now + 100) == .syscall)
      #expect(machine.cpu.pointee.gpr.1 == 0x1234_5678_9ABC_DEF0 && machine.cpu.pointee.gpr.2 == ~0)
      #expect(machine.cpu.pointee.gpr.0 == 0x1234_5678_9ABC_DEF1)
    }
  }

  /// A frame that becomes another thing is that for the next instruction, whatever was known of it.
  @Test(arguments: [false, true]) func aFrameChangesItsKind(translating: Bool) throws {
    // mov [rbx], rax; mov rcx, [rbx]; call r12
    let program: [UInt8] = [0x48, 0x89, 3, 0x48, 0x8B, 0x0B, 0x41, 0xFF, 0xD4]
    guard let (machine, device) = try machine(program, translating: translating) else { return }
    func round(_ value: UInt64) -> (UInt64, Exit) {
      machine.cpu.pointee.rip = TestMachine.code
      (machine.cpu.pointee.gpr.0, machine.cpu.pointee.gpr.3, machine.cpu.pointee.gpr.12) = (value, 0x92000, 0x92100)
      machine.cpu.pointee.gpr.4 = TestMachine.stack
      let exit = machine.vcpu.run(until: machine.vcpu.now + 100)
      return (machine.cpu.pointee.gpr.1, exit)
    }
    machine.memory.copyIn([0xC3], at: 0x92100)
    for n in 1..<6 { #expect(round(UInt64(n)) == (UInt64(n), .syscall)) }
    machine.memory.setKind(.rom, frames: 0x92..<0x93)
    for n in 6..<11 { #expect(round(UInt64(n)) == (5, .syscall)) }
    machine.memory.setKind(.device, frames: 0x92..<0x93)
    // The device reads as its address, and executes as ones.
    for n in 11..<16 { #expect(round(UInt64(n)) == (0x0706_0504_0302_0100, .exception(vector: 6, errorCode: nil))) }
    #expect(device.touches.count == 10)
    machine.memory.setKind(.absent, frames: 0x92..<0x93)
    for n in 16..<20 { #expect(round(UInt64(n)) == (~0, .exception(vector: 6, errorCode: nil))) }
    machine.memory.setKind(.ram, frames: 0x92..<0x93)
    for n in 20..<25 { #expect(round(UInt64(n)) == (UInt64(n), .syscall)) }
    #expect(device.touches.count == 10)
  }

  /// The device changes the code that runs, or takes its page: what has been decoded is not run on.
  @Test(arguments: [false, true]) func theRunningCodeChanges(translating: Bool) throws {
    for round in 0..<2 {
      // mov [rbx], al; inc rcx (twice)
      let program: [UInt8] = [0x88, 3, 0x48, 0xFF, 0xC1, 0x48, 0xFF, 0xC1]
      guard let (machine, device) = try machine(program, translating: translating) else { return }
      for turn in 0..<8 {
        let changing = turn == 5
        device.whenTouched = { _ in
          guard changing else { return }
          if round == 0 {
            // DEC for INC.
            machine.memory.store(UInt8(0xC9), at: TestMachine.code + 4)
          } else {
            machine.memory.setKind(.absent, frames: Int(TestMachine.code >> 12)..<Int(TestMachine.code >> 12) + 1)
          }
        }
        (machine.cpu.pointee.rip, machine.cpu.pointee.gpr.1) = (TestMachine.code, 10)
        var exit = machine.vcpu.run(until: machine.vcpu.now + 100)
        if changing {
          #expect(exit == .deadline && machine.cpu.pointee.rip == TestMachine.code + 2)
          exit = machine.vcpu.run(until: machine.vcpu.now + 100)
        }
        if round == 1 && changing {
          #expect(exit == .exception(vector: 6, errorCode: nil))
          break
        }
        #expect(exit == .syscall && machine.cpu.pointee.gpr.1 == (turn < 5 ? 12 : 10))
      }
    }
  }
}
