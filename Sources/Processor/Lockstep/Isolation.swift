import CHost
import GuestMemory
import X86

// Looking at one block at a time, for whoever looks for the instruction on which the engines differ.

/// An instruction where it stands.
public struct PlacedInstruction: Sendable {
  public let address: UInt64
  public let bytes: [UInt8]
  /// In Intel syntax.
  public let text: String
}

extension VCPU {
  /// How many instructions that can be translated a run from here begins with as one block: 1 where it is not known beforehand.
  public func blockLength() -> Int {
    guard let block = blockHere() else { return 1 }
    return max(Int(block.pointee.count), 1)
  }

  /// Machine address of the next instruction, nil where there is none.
  public var machineAddress: UInt64? { cpu.isTranslatable ? translate(cpu.pointee.rip, .execute) : nil }

  private func blockHere() -> UnsafeMutablePointer<pv_block>? {
    guard let address = machineAddress, memory.contains(address & ~4095, 4096) else { return nil }
    if blocks.needsFlush { blocks.flush() }
    let mode = cpu.pointee.mode
    return blocks.find(address | UInt64(mode) << 56) ?? withHostModes { blocks.build(address: address, mode: mode) }
  }

  /// The next `count` instructions as they lie in memory; fewer where they cannot be read or are none.
  public func instructions(count: Int) -> [PlacedInstruction] {
    let mode = CodeMode(rawValue: UInt8(truncatingIfNeeded: cpu.pointee.mode & UInt32(PV_MODE_CODE))) ?? .long64
    var found: [PlacedInstruction] = []
    var at = cpu.pointee.rip
    while found.count < count {
      var bytes: [UInt8] = []
      while bytes.count < 15 {
        var byte: UInt8 = 0
        guard withUnsafeMutableBytes(of: &byte, { readGuest(at &+ UInt64(bytes.count), into: $0) }) else { break }
        bytes.append(byte)
      }
      guard let instruction = try? bytes.withUnsafeBytes({ try Decoder.decode($0, mode: mode) }) else { break }
      let length = Int(instruction.length)
      found.append(PlacedInstruction(address: at, bytes: Array(bytes.prefix(length)), text: instruction.text(at: at)))
      at = at &+ UInt64(length)
    }
    return found
  }

  /// Makes the first `count` instructions from here a block with a translation of its own, so that the next run of `count` cycles
  /// runs it and nothing else. False where there is no such translation: the interpreter runs it then.
  public func isolate(_ count: Int) -> Bool {
    guard let translator, let address = machineAddress, memory.contains(address & ~4095, 4096) else { return false }
    blocks.dropPage(Int(address >> 12), cpu: cpu, runningOperation: nil)
    if blocks.needsFlush || translator.needsFlush { blocks.flush() }
    blocks.operationLimit = count
    defer { blocks.operationLimit = BlockCache.maximumOperations }
    return withHostModes {
      guard let block = blocks.build(address: address, mode: cpu.pointee.mode) else { return false }
      return translator.translate(block)
    }
  }

  /// Everything that the processor itself holds, to be put back by `restore`. What is in memory is not in it.
  public func save() -> SavedProcessor { SavedProcessor(state: cpu.pointee, modelSpecific: modelSpecific) }

  public func restore(_ saved: SavedProcessor) {
    // What the host itself holds of the translations stays what it is, and what they rest on.
    let (set, native) = (cpu.pointee.tlb, cpu.pointee.native_set)
    let (resting, lines) = (cpu.pointee.paging_state, cpu.pointee.address_lines)
    cpu.pointee = saved.state
    modelSpecific = saved.modelSpecific
    cpu.pointee.tlb = set
    cpu.pointee.native_set = native
    cpu.pointee.paging_state = resting
    if lines != cpu.pointee.address_lines { translations.flushAll() }
    pagingControlsChanged()
    turn.pointee.pendingLink = 0
  }
}

/// A processor's registers as they were, of use to the same object only.
public struct SavedProcessor {
  let state: pv_vcpu
  let modelSpecific: ModelSpecificRegisters
}
