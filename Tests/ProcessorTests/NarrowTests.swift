import CHost
import Testing

@testable import Processor

/// 32-bit code on both engines: its segments, its place beside 64-bit code, and data beside code.
@Suite struct NarrowTests {
  private func word(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }

  /// Runs to HLT on both engines in slices, which must leave the same state. The machine with the translator.
  private func compare(_ code: [UInt8], slice: UInt64, _ prepare: (ModeMachine) -> Void) throws -> ModeMachine {
    let machines = try [false, true].map { try ModeMachine(ModeProgram(code, [:]), translator: $0) }
    for m in machines { prepare(m) }
    var exits: [Exit] = [.deadline, .deadline]
    while exits == [.deadline, .deadline] && machines[0].vcpu.now < 1_000_000 { exits = machines.map { $0.run(slice) } }
    #expect(exits == [.halt, .halt])
    let difference = StateCapture(machines[0].vcpu).differences(from: StateCapture(machines[1].vcpu))
    #expect(difference.isEmpty, "\(difference)")
    return machines[1]
  }

  /// The same bytes at the same address are other instructions in 64-bit and in compatibility code, in one set of translations.
  @Test(arguments: [100_000, 19] as [UInt64]) func bothWidthsAtOneAddress(slice: UInt64) throws {
    let shared = 0x6000
    var code: [UInt8] = [0xBD, 200, 0, 0, 0]  // mov ebp, 200
    func call() -> [UInt8] { [0xE8] + word(shared - (Int(ModeProgram.start) + code.count + 5)) }
    let again = code.count
    code += call()
    code += [0x6A, 8, 0x68] + word(Int(ModeProgram.start) + code.count + 9) + [0x48, 0xCB]  // push 8; push compat; retfq
    code += call()
    code += call()
    code += [0xEA] + word(Int(ModeProgram.start) + code.count + 7) + [0x18, 0]  // ljmp 0x18:back
    code += [0xFF, 0xCD, 0x75, UInt8(truncatingIfNeeded: again - (code.count + 4)), 0xF4]  // back: dec ebp; jnz again; hlt
    let m = try compare(code, slice: slice) { m in
      m.startLong()
      m.cpu.pointee.gpr.4 = 0x7000
      // 64-bit: add rax, 5; ret. 32-bit: dec eax; add eax, 5; ret.
      m.memory.copyIn([0x48, 0x83, 0xC0, 5, 0xC3], at: UInt64(shared))
    }
    #expect(m.cpu.pointee.gpr.0 == 200 * 13)
    #expect(m.vcpu.translatorCounts.blocks >= 6)
  }

  /// FS with a base, DS that is flat no more in the middle of a block, and a limit at the end.
  @Test(arguments: [100_000, 7] as [UInt64]) func segments(slice: UInt64) throws {
    var code: [UInt8] = [0xBD, 50, 0, 0, 0]  // mov ebp, 50
    let again = code.count
    code += [0x66, 0xB8, 0x28, 0, 0x8E, 0xE0]  // mov ax, 0x28; mov fs, ax
    code += [0x64, 0xA1, 0, 5, 0, 0, 0x01, 0xC7]  // mov eax, fs:[0x500]; add edi, eax
    code += [0x66, 0xB8, 0x28, 0, 0x8E, 0xD8]  // mov ds, ax of 0x28
    code += [0xA1, 0, 5, 0, 0, 0x01, 0xC7]  // mov eax, [0x500]; add edi, eax
    code += [0x66, 0xB8, 0x10, 0, 0x8E, 0xD8]  // mov ds, ax of 0x10
    code += [0xA1, 0, 5, 0, 0, 0x01, 0xC7]
    code += [0x4D, 0x75, UInt8(truncatingIfNeeded: again - (code.count + 3))]  // dec ebp; jnz again
    code += [0x66, 0xB8, 0x30, 0, 0x8E, 0xE0]  // mov fs, ax of 0x30
    // Three times within its limit, so that the block is translated; then beyond.
    code += [0xBB, 0xFC, 0, 0, 0]  // mov ebx, 0xFC
    let reads = code.count
    code += [0x64, 0x8B, 0x03, 0x64, 0x01, 0x03]  // mov eax, fs:[ebx]; add fs:[ebx], eax
    code += [0x45, 0x83, 0xFD, 8, 0x75, UInt8(truncatingIfNeeded: reads - (code.count + 6))]  // inc ebp; cmp ebp, 8; jne
    code += [0x43, 0xEB, UInt8(truncatingIfNeeded: reads - (code.count + 3))]  // inc ebx; jmp
    let handler = code.count
    code += [0xF4]
    let m = try compare(code, slice: slice) { m in
      m.startProtected()
      m.setDescriptor(0x28, 0x00CF_9200_0100_FFFF)
      m.setDescriptor(0x30, 0x0040_9200_0100_00FF)
      m.memory.store(UInt32(1000), at: 0x600)
      m.memory.store(UInt32(7), at: 0x500)
      m.setGate(13, ModeProgram.start + UInt64(handler))
    }
    #expect(m.cpu.pointee.gpr.7 == 50 * 2007)
    #expect(m.cpu.pointee.gpr.3 == 0xFD && m.cpu.pointee.gpr.5 == 8)
    #expect(m.vcpu.translatorCounts.blocks > 0)
  }

  /// Data right behind code is written without a loss of code; code that writes to itself runs as written.
  @Test(arguments: [false, true]) func dataBesideCode(changing: Bool) throws {
    var code: [UInt8] = [0xB9, 100, 0, 0, 0]  // mov ecx, 100
    let again = code.count
    let immediate = Int(ModeProgram.start) + again + 7
    let store: [UInt8] = changing ? [0x89, 0x0D] + word(immediate) : [0x90]
    let data = Int(ModeProgram.start) + again + 6 + 5 + 2 + store.count + 4
    code += [0xFF, 0x05] + word(data) + [0xB8, 1, 0, 0, 0, 0x01, 0xC3] + store  // inc [data]; mov eax, 1; add ebx, eax; mov [1], ecx
    code += [0x49, 0x75, UInt8(truncatingIfNeeded: again - (code.count + 3)), 0xF4, 0, 0, 0, 0]  // dec ecx; jnz again; hlt
    let m = try compare(code, slice: 100_000) { $0.startProtected() }
    #expect(m.load(UInt64(data), UInt32.self) == 100)
    #expect(m.cpu.pointee.gpr.3 == (changing ? 5050 : 100))
    #expect((m.vcpu.blocks.drops == 0) == !changing)
    #expect(changing || m.vcpu.codeCounters.blocks < 8)
  }

  /// A routine that is patched before each call is decoded anew; its caller, in the same page, stays translated.
  @Test func aPatchedRoutineLeavesItsCaller() throws {
    var code: [UInt8] = [0xB9, 100, 0, 0, 0]  // mov ecx, 100
    let again = code.count
    let routine = again + 6 + 5 + 2 + 3 + 1
    code += [0x89, 0x0D] + word(Int(ModeProgram.start) + routine + 1)  // mov [routine + 1], ecx
    code += [0xE8] + word(routine - (code.count + 5)) + [0x01, 0xC3]  // call routine; add ebx, eax
    code += [0x49, 0x75, UInt8(truncatingIfNeeded: again - (code.count + 3)), 0xF4]  // dec ecx; jnz again; hlt
    code += [0xB8, 0, 0, 0, 0, 0xC3]  // routine: mov eax, 0; ret
    let m = try compare(code, slice: 100_000) { $0.startProtected() }
    #expect(m.cpu.pointee.gpr.3 == 5050)
    #expect(m.vcpu.codeCounters.translatedPages == 0 && m.vcpu.blocks.drops >= 90)
    #expect(m.vcpu.codeCounters.blocks < 120 && m.vcpu.translatorCounts.blocks > 0)
  }
}
