import CHost
import GuestMemory
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Decoded code, in blocks keyed by machine address and mode.
///
/// A block lies in one page and is entered only at its first operation. When a store overlaps bytes that were decoded the blocks
/// with these bytes are dropped, and all blocks of the page if one of these is translated: links between blocks never leave a page,
/// so nothing else needs to be unlinked. What is near code but not in it, as data often is, drops nothing. Memory is taken from one arena that is never freed piecemeal: when it is full, everything is forgotten, and
/// only between blocks. So a dropped block stays readable until the run loop is back in Swift.
///
/// Invariants of the unsafe parts: a block reachable from `table` is valid; `pages[frame]` lists exactly the valid blocks of
/// that frame; `memory.codeLines[frame]` has the lines of all of them.
final class BlockCache {
  static let arenaBytes = 20 << 20
  /// What of it may be used: all of it beside translations, which are lost with their blocks; the interpreter alone is as fast with less.
  var arenaLimit = 14 << 20
  static let maximumOperations = 48
  /// Operations that a block is given at most.
  var operationLimit = maximumOperations
  private let memory: MachineMemory
  private let arena: UnsafeMutableRawPointer
  /// Bytes of the arena in use; plain memory, because the run loop looks at it all the time.
  private let room: UnsafeMutablePointer<Int>
  private var used: Int {
    @inline(__always) get { room.pointee }
    @inline(__always) set { room.pointee = newValue }
  }
  let table: UnsafeMutablePointer<UnsafeMutablePointer<pv_block>?>
  static let tableSize = 1 << 16
  private let pages: UnsafeMutablePointer<UnsafeMutablePointer<pv_block>?>
  /// By frame, stores into and beside its code since it was dropped as a whole: 4 for one into code, 1 for one beside it.
  private let restlessness: UnsafeMutablePointer<UInt16>
  private let frameCount: Int
  /// A frame got its first code.
  var frameBecameCode: ((UInt32) -> Void)?
  /// Blocks of a frame that have host code were dropped; everything was.
  var translatedCodeDropped: ((UInt32) -> Void)?
  var everythingForgotten: (() -> Void)?
  /// Where one instruction that crosses pages is decoded, and where a block is cut short.
  let single: UnsafeMutablePointer<pv_block>
  private let singleOperations: Operation
  private var touchedFrames: [UInt32] = []
  private(set) var flushes: UInt64 = 0
  private(set) var decodedBlocks: UInt64 = 0
  private(set) var droppedPages: UInt64 = 0
  private(set) var droppedTranslatedPages: UInt64 = 0
  /// How often any block was dropped.
  private(set) var drops: UInt64 = 0
  /// Instructions that cross pages, as they were decoded last, by address.
  private let crossings: UnsafeMutablePointer<Crossing>
  private static let crossingCount = 256
  private struct Crossing {
    /// As a block's; ~0 for none.
    var key: UInt64
    /// The 15 bytes that were decoded, and 0.
    var bytes: (UInt64, UInt64)
    var operation: pv_op
    /// How often it was found with these bytes, and the block of its own that it was then given.
    var found: UInt32 = 0
    var block: UnsafeMutablePointer<pv_block>?
  }
  /// So often the bytes of an instruction that crosses pages are found as they were before it is worth a block of its own.
  private static let crossingThreshold: UInt32 = 4

  init(memory: MachineMemory) {
    self.memory = memory
    // One more, for `MachineMemory.openBusFrame`.
    frameCount = memory.frameCount + 1
    func map(_ bytes: Int) -> UnsafeMutableRawPointer {
      let p = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      guard let p, p != MAP_FAILED else { ph_host_lacks("address space for decoded code") }
      return p
    }
    arena = map(Self.arenaBytes)
    table = map(Self.tableSize * 8).bindMemory(to: UnsafeMutablePointer<pv_block>?.self, capacity: Self.tableSize)
    pages = map(frameCount * 8).bindMemory(to: UnsafeMutablePointer<pv_block>?.self, capacity: frameCount)
    restlessness = map(frameCount * 2).bindMemory(to: UInt16.self, capacity: frameCount)
    room = .allocate(capacity: 1)
    room.initialize(to: 0)
    crossings = .allocate(capacity: Self.crossingCount)
    crossings.initialize(repeating: Crossing(key: ~0, bytes: (0, 0), operation: pv_op.blank), count: Self.crossingCount)
    single = .allocate(capacity: 1)
    singleOperations = .allocate(capacity: Self.maximumOperations + 2)
    single.initialize(
      to: pv_block(
        key: 0, next: nil, next_in_page: nil, ops: singleOperations, count: 0, bytes: 0, valid: 0, entries: 0, code: nil, looked: 0))
  }

  deinit {
    munmap(arena, Self.arenaBytes)
    munmap(table, Self.tableSize * 8)
    munmap(pages, frameCount * 8)
    munmap(restlessness, frameCount * 2)
    room.deallocate()
    crossings.deallocate()
    single.deallocate()
    singleOperations.deallocate()
  }

  /// The 64-byte lines of a page that [offset, offset + count) touches.
  @inline(__always) static func lines(_ offset: Int, _ count: Int) -> UInt64 {
    let first = UInt64(offset >> 6)
    let last = UInt64(min(offset + max(count, 1) - 1, 4095) >> 6)
    return (~UInt64(0) << first) & (~UInt64(0) >> (63 - last))
  }

  @inline(__always) static func bucket(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key ^ (key >> 16) ^ (key >> 53)) & UInt64(tableSize - 1))
  }

  /// The block at a key, or nil.
  @inline(__always) func find(_ key: UInt64) -> UnsafeMutablePointer<pv_block>? {
    var block = table[Self.bucket(key)]
    while let b = block {
      if b.pointee.key == key { return b }
      block = b.pointee.next
    }
    return nil
  }

  var needsFlush: Bool { used > arenaLimit - (1 << 16) }

  /// Forgets everything. Only between blocks.
  func flush() {
    memset(table, 0, Self.tableSize * 8)
    for frame in touchedFrames {
      pages[Int(frame)] = nil
      memory.codeLines[Int(frame)] = 0
    }
    touchedFrames.removeAll(keepingCapacity: true)
    used = 0
    for slot in 0..<Self.crossingCount {
      crossings[slot].block = nil
      crossings[slot].found = 0
    }
    flushes += 1
    everythingForgotten?()
  }

  /// Another writer (a device, the hypervisor) is about to change memory.
  func codeWillChange(_ address: UInt64, _ count: Int, cpu: CPU) {
    var at = address
    let end = address &+ UInt64(count)
    while at < end {
      let part = min(Int(end - at), 4096 - Int(at & 4095))
      let frame = Int(at >> 12)
      if memory.codeLines[frame] & Self.lines(Int(at & 4095), part) != 0 {
        bytesWillChange(frame, Int(at & 4095), part, cpu: cpu, runningOperation: nil)
      }
      at += UInt64(part)
    }
  }

  /// Bytes of a page with code are about to change: drops the blocks that have any of them. If one of these is running, it ends after
  /// `runningOperation`.
  @inline(never) func bytesWillChange(_ frame: Int, _ offset: Int, _ count: Int, cpu: CPU, runningOperation: Operation?) {
    func overlaps(_ b: UnsafeMutablePointer<pv_block>) -> Bool {
      let start = Int(b.pointee.key & 4095)
      return start < offset + count && offset < start + Int(b.pointee.looked)
    }
    var (isHit, isTranslated) = (false, false)
    var block = pages[frame]
    while let b = block {
      if overlaps(b) {
        isHit = true
        // The page's translations jump to each other.
        isTranslated = isTranslated || b.pointee.code != nil
      }
      block = b.pointee.next_in_page
    }
    // What was code may be data now, which is written fast again once the page has no code: so at times all of it goes.
    restlessness[frame] &+= isHit ? 4 : 1
    let isRestless = restlessness[frame] >= 2048
    guard isHit || isRestless else { return }
    if isTranslated || isRestless { return dropPage(frame, cpu: cpu, runningOperation: runningOperation) }
    drops &+= 1
    var previous: UnsafeMutablePointer<pv_block>?
    block = pages[frame]
    while let b = block {
      block = b.pointee.next_in_page
      guard overlaps(b) else {
        previous = b
        continue
      }
      unlink(b)
      b.pointee.valid = 0
      if let previous { previous.pointee.next_in_page = block } else { pages[frame] = block }
    }
    if pages[frame] == nil { memory.codeLines[frame] = 0 }
    if let op = runningOperation, let running = cpu.pointee.block, Int((running.pointee.key & ~(0xFF << 56)) >> 12) == frame,
      overlaps(running)
    {
      end(running, after: op, cpu)
    }
  }

  /// Drops a page's blocks. If one of them is running, it ends after `runningOperation`.
  func dropPage(_ frame: Int, cpu: CPU, runningOperation: Operation?) {
    var block = pages[frame]
    var hadCode = false
    while let b = block {
      unlink(b)
      b.pointee.valid = 0
      if b.pointee.code != nil { hadCode = true }
      block = b.pointee.next_in_page
    }
    pages[frame] = nil
    memory.codeLines[frame] = 0
    restlessness[frame] = 0
    droppedPages &+= 1
    drops &+= 1
    if hadCode {
      droppedTranslatedPages &+= 1
      translatedCodeDropped?(UInt32(truncatingIfNeeded: frame))
    }
    if let op = runningOperation, let running = cpu.pointee.block, Int((running.pointee.key & ~(0xFF << 56)) >> 12) == frame {
      end(running, after: op, cpu)
    }
  }

  /// Makes a block that is running end after an operation.
  private func end(_ running: UnsafeMutablePointer<pv_block>, after op: Operation, _ cpu: CPU) {
    running.pointee.valid = 0
    var ordinal = Int(op.pointee.ordinal) + 1
    var following = op + 1
    // A fallback of translated code runs copies of a few operations: those behind the copies are not its own.
    let end = cpu.pointee.native_site_end != 0 ? Int(cpu.pointee.native_site_end) : Int(running.pointee.count)
    while ordinal < end {
      following.pointee.handler = leaveHere
      ordinal += 1
      following += 1
    }
    if cpu.pointee.native_site_end == 0 { following.pointee.handler = leaveHere }
  }

  private func unlink(_ block: UnsafeMutablePointer<pv_block>) {
    let bucket = Self.bucket(block.pointee.key)
    if table[bucket] == block {
      table[bucket] = block.pointee.next
      return
    }
    var previous = table[bucket]
    while let p = previous {
      if p.pointee.next == block {
        p.pointee.next = block.pointee.next
        return
      }
      previous = p.pointee.next
    }
  }

  /// Decodes the block at a machine address. Where its first instruction runs into the next page, the result is nil:
  /// see `VCPU.crossingBlock`.
  func build(address: UInt64, mode: UInt32) -> UnsafeMutablePointer<pv_block>? {
    let frame = Int(address >> 12)
    let start = Int(address & 4095)
    let page = memory.base + frame * 4096
    let need = MemoryLayout<pv_block>.stride + (Self.maximumOperations + 1) * MemoryLayout<pv_op>.stride
    guard used + need <= arenaLimit else { return nil }
    let block = (arena + used).bindMemory(to: pv_block.self, capacity: 1)
    let ops = (arena + used + MemoryLayout<pv_block>.stride).bindMemory(to: pv_op.self, capacity: Self.maximumOperations + 1)
    var offset = 0
    var looked = 0
    var count = 0
    var ended = false
    while count < operationLimit && start + offset < 4096 {
      let bytes = UnsafeRawBufferPointer(start: page + start + offset, count: min(15, 4096 - start - offset))
      let op = ops + count
      switch lower(bytes, offset: offset, ordinal: count, mode: mode, into: op) {
      case .operation: break
      case .undefined: looked = min(offset + 15, 4096 - start)
      case .truncated:
        if count == 0 { return nil }
        count = -count
      }
      if count < 0 {
        count = -count
        break
      }
      offset += Int(op.pointee.length)
      count += 1
      if op.pointee.flags & UInt16(PV_OP_ENDS_BLOCK) != 0 {
        ended = true
        break
      }
    }
    // Segmented code goes on through the run loop, which looks at the segment's limit.
    let segmented = mode & UInt32(PV_MODE_SEGMENTED) != 0
    if !segmented { fuse(ops, count) }
    terminate(ops + count, offset: offset, ordinal: count, ended: ended || segmented)
    let key = address | UInt64(mode) << 56
    block.initialize(
      to: pv_block(
        key: key, next: table[Self.bucket(key)], next_in_page: nil, ops: ops, count: UInt32(count), bytes: UInt32(offset), valid: 1,
        entries: 0, code: nil, looked: UInt64(max(looked, offset))))
    table[Self.bucket(key)] = block
    note(block, in: frame, lines: Self.lines(start, max(looked, offset)))
    used += MemoryLayout<pv_block>.stride + (count + 1) * MemoryLayout<pv_op>.stride
    used = (used + 63) & ~63
    decodedBlocks += 1
    return block
  }

  /// The operation after a block's last: goes on at the next instruction. Where the block ends in a branch it is never
  /// reached.
  private func terminate(_ op: Operation, offset: Int, ordinal: Int, ended: Bool) {
    var terminator = pv_op.blank
    terminator.handler = ended ? leaveHere : fallThrough
    terminator.offset = UInt16(truncatingIfNeeded: offset)
    terminator.ordinal = UInt16(truncatingIfNeeded: ordinal)
    terminator.flags = UInt16(PV_OP_CODE64)
    op.initialize(to: terminator)
  }

  @inline(__always) private func crossingSlot(_ address: UInt64) -> UnsafeMutablePointer<Crossing> {
    crossings + Int(truncatingIfNeeded: (address ^ (address >> 12)) & UInt64(Self.crossingCount - 1))
  }

  /// Whether the instruction at a key was seen to run over its page's end, and its bytes in that page are still the same.
  @inline(__always) func isCrossing(_ key: UInt64) -> Bool {
    let slot = crossingSlot(key)
    guard slot.pointee.key == key else { return false }
    let address = Int(key & ~(0xFF << 56))
    return withUnsafeBytes(of: &slot.pointee.bytes) {
      memcmp($0.baseAddress!, memory.base + address, min(4096 - address & 4095, 15)) == 0
    }
  }

  /// A block of one instruction whose 15 bytes were gathered from two pages. It is decoded anew only if they have changed.
  func crossing(_ bytes: (UInt64, UInt64), address: UInt64, mode: UInt32) -> UnsafeMutablePointer<pv_block>? {
    let key = address | UInt64(mode) << 56
    let slot = crossingSlot(key)
    if slot.pointee.key == key && slot.pointee.bytes == bytes {
      if let block = slot.pointee.block, block.pointee.valid != 0 { return block }
      slot.pointee.found &+= 1
      if slot.pointee.found == Self.crossingThreshold {
        slot.pointee.found = 0
        slot.pointee.block = keepCrossing(slot)
        if let block = slot.pointee.block { return block }
      }
      singleOperations.initialize(to: slot.pointee.operation)
    } else {
      // Decoding must leave no flag of its own in the guest's MXCSR.
      let lowered = withHostModes {
        withUnsafeBytes(of: bytes) {
          lower(UnsafeRawBufferPointer(rebasing: $0[0..<15]), offset: 0, ordinal: 0, mode: mode, into: singleOperations)
        }
      }
      if case .truncated = lowered { return nil }
      slot.pointee = Crossing(key: key, bytes: bytes, operation: singleOperations.pointee)
    }
    let length = Int(singleOperations.pointee.length)
    (singleOperations + 1).initialize(to: Self.terminator(length))
    single.pointee = pv_block(
      key: key, next: nil, next_in_page: nil, ops: singleOperations, count: 1, bytes: UInt32(length), valid: 0, entries: 0, code: nil,
      looked: 0)
    return single
  }

  /// What ends a block of one instruction.
  private static func terminator(_ length: Int) -> pv_op {
    var terminator = pv_op.blank
    terminator.handler = leaveHere
    terminator.offset = UInt16(truncatingIfNeeded: length)
    terminator.ordinal = 1
    return terminator
  }

  /// Gives an instruction that crosses pages a block that lasts, for the translator: nobody finds it but by `crossing`, which compares all
  /// its bytes, and its translation does so too. It goes when its first page's blocks go. Nil if there is no room.
  private func keepCrossing(_ crossing: UnsafeMutablePointer<Crossing>) -> UnsafeMutablePointer<pv_block>? {
    let head = MemoryLayout<pv_block>.stride
    guard let raw = allocate(bytes: head + 2 * MemoryLayout<pv_op>.stride + 16) else { return nil }
    let block = raw.bindMemory(to: pv_block.self, capacity: 1)
    let ops = (raw + head).bindMemory(to: pv_op.self, capacity: 2)
    let length = Int(crossing.pointee.operation.length)
    ops.initialize(to: crossing.pointee.operation)
    (ops + 1).initialize(to: Self.terminator(length))
    UnsafeMutableRawPointer(ops + 2).storeBytes(of: crossing.pointee.bytes.0, as: UInt64.self)
    UnsafeMutableRawPointer(ops + 2).storeBytes(of: crossing.pointee.bytes.1, toByteOffset: 8, as: UInt64.self)
    let address = Int(crossing.pointee.key & ~(0xFF << 56))
    block.initialize(
      to: pv_block(
        key: crossing.pointee.key, next: nil, next_in_page: nil, ops: ops, count: 1, bytes: UInt32(length), valid: 1, entries: 0, code: nil,
        looked: UInt64(4096 - address & 4095)))
    note(block, in: address >> 12, lines: Self.lines(address & 4095, 4096 - address & 4095))
    return block
  }

  /// The 15 bytes of a block made by `keepCrossing`; nil of any other.
  static func crossingBytes(_ block: UnsafeMutablePointer<pv_block>) -> UnsafeRawBufferPointer? {
    guard Int(block.pointee.key & 4095) + Int(block.pointee.bytes) > 4096 else { return nil }
    return UnsafeRawBufferPointer(start: UnsafeRawPointer(block.pointee.ops + 2), count: 15)
  }

  /// Puts a block among those of its page.
  private func note(_ block: UnsafeMutablePointer<pv_block>, in frame: Int, lines: UInt64) {
    block.pointee.next_in_page = pages[frame]
    if pages[frame] == nil { touchedFrames.append(UInt32(truncatingIfNeeded: frame)) }
    pages[frame] = block
    if memory.codeLines[frame] == 0 { frameBecameCode?(UInt32(truncatingIfNeeded: frame)) }
    memory.codeLines[frame] |= lines
  }

  /// The first `count` operations of a block, to run up to a deadline or one step.
  func cut(_ block: UnsafeMutablePointer<pv_block>, to count: Int) -> UnsafeMutablePointer<pv_block> {
    guard block != single, count < Int(block.pointee.count) else { return block }
    singleOperations.update(from: block.pointee.ops, count: count)
    singleOperations[count - 1].unfuse()
    var terminator = pv_op.blank
    terminator.handler = leaveHere
    terminator.offset = block.pointee.ops[count].offset
    terminator.ordinal = UInt16(count)
    (singleOperations + count).initialize(to: terminator)
    single.pointee = block.pointee
    single.pointee.ops = singleOperations
    single.pointee.count = UInt32(count)
    return single
  }

  /// Room for a translation's own operations, or nil when the arena is full.
  func allocate(bytes: Int) -> UnsafeMutableRawPointer? {
    guard used + bytes <= arenaLimit else { return nil }
    defer { used = (used + bytes + 63) & ~63 }
    return arena + used
  }

  private enum Lowered {
    case operation
    /// As `operation`, but more bytes than its length were looked at.
    case undefined
    case truncated
  }

  private func lower(_ bytes: UnsafeRawBufferPointer, offset: Int, ordinal: Int, mode: UInt32, into op: Operation) -> Lowered {
    op.initialize(to: pv_op.blank)
    op.pointee.offset = UInt16(truncatingIfNeeded: offset)
    op.pointee.ordinal = UInt16(truncatingIfNeeded: ordinal)
    let codeMode = CodeMode(rawValue: UInt8(truncatingIfNeeded: mode & UInt32(PV_MODE_CODE))) ?? .long64
    do throws(DecodeError) {
      let instruction = try Decoder.decode(bytes, mode: codeMode)
      prepare(instruction, offset: offset, mode: codeMode, &op.pointee)
      if let lowerer = LoweringTable.shared[instruction.mnemonic], lowerer(instruction, &op.pointee) {
        if mode > UInt32(PV_MODE_CODE) { addSegmentation(instruction, mode, &op.pointee) }
        return .operation
      }
      op.pointee.handler = raiseUndefined
      op.pointee.flags |= UInt16(PV_OP_ENDS_BLOCK)
    } catch .truncated {
      if bytes.count < 15 { return .truncated }
      op.pointee.handler = raiseTooLong
      op.pointee.length = 15
      op.pointee.flags |= UInt16(PV_OP_ENDS_BLOCK)
    } catch .tooLong {
      op.pointee.handler = raiseTooLong
      op.pointee.length = 15
      op.pointee.flags |= UInt16(PV_OP_ENDS_BLOCK)
    } catch {
      op.pointee.handler = raiseUndefined
      op.pointee.length = 1
      op.pointee.flags |= UInt16(PV_OP_ENDS_BLOCK)
      return .undefined
    }
    return .operation
  }
}

private let raiseUndefined: pv_handler = { cpu, op in raise(cpu, op, .ud) }
private let raiseTooLong: pv_handler = { cpu, op in raise(cpu, op, .gp, 0) }

/// Leaves before this operation, giving back what of the block has not run.
let leaveHere: pv_handler = { cpu, op in
  let block = cpu.pointee.block!
  cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(op.pointee.ordinal)
  return leave(cpu, cpu.rip(of: op))
}

/// Goes on in the next block, at this operation's own address.
let fallThrough: pv_handler = { cpu, op in branchNotTaken(cpu, op) }

extension pv_op {
  /// An operation with nothing filled in yet, which leaves where it stands.
  nonisolated(unsafe) static let blank: pv_op = {
    let raw = UnsafeMutablePointer<pv_op>.allocate(capacity: 1)
    defer { raw.deallocate() }
    memset(raw, 0, MemoryLayout<pv_op>.size)
    raw.pointee.handler = leaveHere
    return raw.pointee
  }()
}
