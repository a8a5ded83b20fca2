import Random
import Testing

struct SeededRandomTests {
  /// splitmix64's own first numbers, as Vigna's reference program prints them: what a seed reported long ago stood for, it stands for still.
  @Test func aSeedAlwaysMeansTheSameNumbers() {
    var random = SeededRandom(seed: 1_234_567)
    let numbers = (0..<5).map { _ in random.next() }
    #expect(
      numbers == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
      ])
  }

  @Test func casesOfARunDiffer() {
    let firsts = (0..<1000 as Range<UInt64>).map { index in
      var random = SeededRandom(seed: 1, index: index)
      return random.next()
    }
    #expect(Set(firsts).count == 1000)
    var again = SeededRandom(seed: 1, index: 999)
    #expect(firsts.last == again.next())
  }

  @Test func everyNumberBelowALimitComes() {
    var random = SeededRandom(seed: 3)
    for limit in [1, 2, 7, 40] as [UInt64] {
      let found = Set((0..<2000).map { _ in random.below(limit) })
      #expect(found == Set(0..<limit))
    }
  }
}
