/** A title with what somebody who looks for it types, and what he types who does not. */
export interface KnownTitle {
  readonly title: string;
  readonly right: readonly string[];
  readonly wrong?: readonly string[];
}

/** Titles as courses have them, in languages that write without blanks or attach endings. */
export const knownTitles: readonly KnownTitle[] = [
  { title: '我家在上海东边', right: ['上海', '家', '东边', '海'] },
  { title: '数据结构与算法', right: ['数据', '结构', '算法', '数据结构'] },
  { title: '计算机程序设计基础', right: ['计算机', '程序设计', '程序', '设计', '基础'] },
  { title: '中国古代文学史', right: ['中国', '古代', '文学', '文学史', '史'] },
  { title: '线性代数(上)', right: ['代数', '线性代数'] },
  { title: '大学物理学', right: ['物理', '大学', '物理学'], wrong: ['学物'] },
  { title: '机器学习导论', right: ['机器学习', '学习', '导论', '机器'] },
  { title: '研究生学术写作', right: ['研究生', '研究', '写作', '学术'] },
  { title: '研究生命的起源', right: ['研究', '生命', '起源'], wrong: ['研究生'] },
  { title: '南京市长江大桥的历史', right: ['南京', '长江', '大桥', '南京市', '长江大桥'], wrong: ['市长'] },
  { title: '生命科学与伦理', right: ['生命', '科学', '生命科学', '伦理'] },
  { title: '現代漢語語法', right: ['漢語', '語法', '現代漢語'] },
  { title: '香港粵語入門', right: ['香港', '粵語', '入門'] },
  { title: '北京大学：艺术史', right: ['北京', '大学', '北京大学', '艺术', '艺术史'] },
  { title: '经济学原理', right: ['经济', '经济学', '原理'] },
  { title: 'Python编程入门', right: ['python', '编程', '入门', 'Python编程'] },
  { title: '人工智能与信息社会', right: ['人工智能', '智能', '信息', '社会', 'AI'].slice(0, 4) },
  { title: '有机化学（第二版）', right: ['化学', '有机', '有机化学'] },
  { title: '茶文化与茶艺', right: ['茶', '文化', '茶艺', '茶文化'] },
  { title: '发展中国家的教育', right: ['发展', '国家', '教育'], wrong: ['中国'] },
  { title: '日本語初級文法', right: ['日本語', '文法', '初級', '日本'] },
  { title: '東京都の歴史と文化', right: ['東京', '歴史', '文化', '東京都'], wrong: ['京都'] },
  { title: 'はじめてのプログラミング', right: ['プログラミング', 'はじめて'] },
  { title: 'データサイエンス入門', right: ['データ', 'サイエンス', '入門', 'データサイエンス'] },
  { title: '統計学の基礎', right: ['統計', '統計学', '基礎'] },
  { title: 'ひらがなとｶﾀｶﾅの読み方', right: ['カタカナ', '読み方', 'ひらがな'] },
  { title: 'ビジネスメールの書き方', right: ['メール', '書き方', 'ビジネス', 'ビジネスメール'] },
  { title: '量子力学演習', right: ['量子', '力学', '量子力学', '演習'] },
  { title: '食べ物と健康', right: ['食べ物', '健康'] },
  { title: '折り紙で学ぶ幾何', right: ['折り紙', '幾何'] },
  { title: '한국어 첫걸음', right: ['한국어', '첫걸음', '한국'] },
  { title: '서울에서 배우는 역사', right: ['서울', '역사'] },
  { title: '프로그래밍언어론', right: ['프로그래밍', '언어', '프로그래밍언어'] },
  { title: '경제학원론', right: ['경제학', '경제', '원론'] },
  { title: '데이터과학을 위한 통계', right: ['데이터', '통계', '과학', '데이터과학'] },
  { title: '대학수학을 배우다', right: ['대학수학', '수학', '대학'] },
  { title: 'ภาษาไทยเบื้องต้น', right: ['ภาษาไทย', 'ไทย', 'ภาษา'] },
  { title: 'คณิตศาสตร์ในชีวิตประจำวัน', right: ['คณิตศาสตร์', 'ชีวิต', 'ชีวิตประจำวัน'] },
  { title: 'การเขียนโปรแกรมคอมพิวเตอร์', right: ['โปรแกรม', 'คอมพิวเตอร์', 'การเขียนโปรแกรม'] },
  { title: 'ประวัติศาสตร์โลก', right: ['ประวัติศาสตร์', 'โลก'] },
];

/** Made texts of a course. */
export interface MadeCourse {
  readonly title: string;
  readonly description: string;
}

/** A made-up language: words of one to four signs, the first ones far commoner than the last, as in any language. */
interface Language {
  readonly words: readonly string[];
  readonly blank: string;
}

/** The same sequence in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const next = random(7);
const range = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => String.fromCodePoint(from + n));
/** A number below `count`; a hundredth of them makes up about half of all. */
const skewed = (count: number): number => Math.floor(count ** next()) - 1;

function language(signs: readonly string[], [shortest, longest]: readonly [number, number], blank: string): Language {
  const word = (): string => {
    const length = shortest + Math.floor(next() * (longest - shortest + 1));
    return Array.from({ length }, () => signs[skewed(signs.length)]!).join('');
  };
  return { words: [...new Set(Array.from({ length: 20_000 }, word))], blank };
}

/** Languages by how many of a hundred courses are in each; Han, kana and Hangul together more than half. */
const languages: readonly (readonly [number, Language])[] = [
  [30, language(range(0x4e00, 3_500), [1, 3], '')],
  [15, language([...range(0x4e00, 2_000), ...range(0x3041, 83), ...range(0x30a1, 86)], [1, 4], '')],
  [10, language(range(0xac00, 2_350), [2, 4], ' ')],
  [45, language(range(0x61, 26), [3, 9], ' ')],
];

/** So many courses: titles of 2 to 6 words, descriptions of 20 to 80. */
export function* madeCourses(count: number): Generator<MadeCourse> {
  for (let n = 0; n < count; n += 1) {
    let at = n % 100;
    const [, { words, blank }] = languages.find(([share]) => (at -= share) < 0)!;
    const text = (least: number, most: number): string =>
      Array.from({ length: least + Math.floor(next() * (most - least + 1)) }, () => words[skewed(words.length)]!).join(
        blank,
      );
    yield { title: text(2, 6), description: text(20, 80) };
  }
}
