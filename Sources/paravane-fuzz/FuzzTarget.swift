import CHost
import Foundation
import Random
import Silicon

/// Something that takes hostile input. One round is the same for the same random numbers.
protocol FuzzTarget {
  /// Rounds between two looks at the clock.
  static var batch: UInt64 { get }
  init() throws
  /// One round; what is wrong, or nil. Anything wrong that Swift notices ends the process.
  mutating func run(_ random: inout SeededRandom) -> String?
  /// What shows that the rounds did something.
  var summary: String { get }
}

extension FuzzTarget {
  static var batch: UInt64 { 16 }
  var summary: String { "" }
}

/// Runs a target for so many seconds, or the rounds that `--first` and `--count` say.
struct FuzzCommand {
  let name: String
  let options: Options

  func run<T: FuzzTarget>(_: T.Type) -> Int32 {
    ph_install_crash_handler()
    let seed = options.number("seed", 1)
    let first = options.number("first", 0)
    let count = options.has("count") ? options.number("count", 1) : .max
    let end = Date(timeIntervalSinceNow: options.has("count") ? 1e9 : Double(options.number("seconds", 60)))
    var index = first
    do {
      var target = try T()
      defer { print("\(name): seed \(seed), \(index &- first) rounds\(target.summary)") }
      while index &- first < count, Date() < end {
        for _ in 0..<min(T.batch, count &- (index &- first)) {
          if options.has("verbose") { FileHandle.standardError.write(Data("round \(index)\n".utf8)) }
          var random = SeededRandom(seed: seed, index: index)
          if let problem = target.run(&random) {
            print("\(name): seed \(seed), round \(index): \(problem)")
            return 1
          }
          index &+= 1
        }
      }
    } catch {
      print("\(name): cannot start: \(error)")
      return 1
    }
    return 0
  }
}

/// Changes to bytes that are likely to matter.
struct Mutator {
  /// Mutates in place: a few bytes, words, runs, and the length.
  static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom, rounds: UInt64 = 8) {
    for _ in 0..<1 + random.below(rounds) where !bytes.isEmpty {
      let at = Int(random.below(UInt64(bytes.count)))
      switch random.below(10) {
      case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[at] ^= 1 << UInt8(random.below(8))
      case 2, 3: put(word(&random), 4, &bytes, at & ~3)
      case 4: put(word(&random), 8, &bytes, at & ~7)
      case 5: put(word(&random), 2, &bytes, at & ~1)
      case 6: bytes.removeSubrange(at..<min(bytes.count, at + Int(random.below(32))))
      case 7: bytes.insert(contentsOf: (0..<random.below(32)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: at)
      case 8:
        let count = min(Int(random.below(64)), bytes.count - at)
        let from = Int(random.below(UInt64(bytes.count - count + 1)))
        bytes.replaceSubrange(at..<at + count, with: Array(bytes[from..<from + count]))
      default:
        if random.oneIn(8) { bytes.removeSubrange(at...) }
      }
    }
  }

  /// A number that fields are compared with, or near it.
  static func word(_ random: inout SeededRandom) -> UInt64 {
    switch random.below(8) {
    case 0: return 0
    case 1: return .max &- random.below(3)
    case 2: return (1 &<< random.below(64)) &+ random.below(3) &- 1
    case 3: return random.below(256)
    case 4: return 0x7FFF_FFFF &+ random.below(3)
    case 5: return random.below(1 << 20)
    case 6: return 4096 &* random.below(64)
    default: return random.next()
    }
  }

  static func put(_ value: UInt64, _ count: Int, _ bytes: inout [UInt8], _ at: Int) {
    for i in 0..<count where at + i < bytes.count { bytes[at + i] = UInt8(truncatingIfNeeded: value >> UInt64(i * 8)) }
  }

  /// Text: words of a language in any order, and changes to it.
  static func text(_ words: [String], _ random: inout SeededRandom) -> String {
    var text = ""
    for _ in 0..<random.below(24) {
      text += words[Int(random.below(UInt64(words.count)))]
      if random.oneIn(2) { text += " " }
    }
    var bytes = Array(text.utf8)
    if random.oneIn(2) { mutate(&bytes, &random, rounds: 3) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
